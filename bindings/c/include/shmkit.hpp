/* shmkit for C++17: thin owners of what shmkit.h makes. Errors are exceptions; what a lock tells beside being taken is asked for.
 *
 * A shmkit::mutex is what std::lock_guard, std::unique_lock and std::scoped_lock take, a shmkit::shared_mutex what
 * std::shared_lock takes.
 */
#ifndef SHMKIT_HPP
#define SHMKIT_HPP

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shmkit.h"

namespace shmkit {

/* What went wrong, in words, and its status. */
class error : public std::runtime_error {
public:
    explicit error(shmkit_status status)
        : std::runtime_error(text(status)), status_(status) {}

    shmkit_status status() const noexcept { return status_; }

private:
    static std::string text(shmkit_status status) {
        const char *last = shmkit_last_error();
        return last ? last : shmkit_status_text(status);
    }

    shmkit_status status_;
};

using milliseconds = std::chrono::milliseconds;

/* Waits for ever. */
inline constexpr milliseconds forever{-1};

namespace detail {

inline void check(shmkit_status status) {
    if (status != SHMKIT_STATUS_OK) throw error(status);
}

/* Whether it came about in time. */
inline bool in_time(shmkit_status status) {
    if (status == SHMKIT_STATUS_TIMED_OUT) return false;
    check(status);
    return true;
}

/* Owns a handle of C. */
template <class T, void (*Close)(T *)>
class handle {
public:
    handle() = default;
    handle(handle &&other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        if (this != &other) {
            Close(to_);
            to_ = std::exchange(other.to_, nullptr);
        }
        return *this;
    }
    handle(const handle &) = delete;
    handle &operator=(const handle &) = delete;
    ~handle() { Close(to_); }

    T *get() const noexcept { return to_; }
    T **place() noexcept { return &to_; }

private:
    T *to_ = nullptr;
};

template <class T>
constexpr shmkit_type type() {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>, "a type of numbers");
    if constexpr (std::is_same_v<T, float>) return SHMKIT_TYPE_F32;
    else if constexpr (std::is_same_v<T, double>) return SHMKIT_TYPE_F64;
    else {
        static_assert(std::is_integral_v<T> && sizeof(T) <= 8, "of at most eight bytes");
        constexpr int size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 2 : sizeof(T) == 4 ? 4 : 6;
        return static_cast<shmkit_type>(size + (std::is_unsigned_v<T> ? 1 : 0));
    }
}

} // namespace detail

/* A segment that this process takes part in. */
class segment {
public:
    static segment create(const std::string &name, std::uint64_t size) {
        segment made;
        detail::check(shmkit_segment_create(name.c_str(), size, made.to_.place()));
        return made;
    }
    static segment open(const std::string &name) {
        segment made;
        detail::check(shmkit_segment_open(name.c_str(), made.to_.place()));
        return made;
    }
    static segment open_or_create(const std::string &name, std::uint64_t size) {
        segment made;
        detail::check(shmkit_segment_open_or_create(name.c_str(), size, made.to_.place()));
        return made;
    }

    std::uint64_t size() const noexcept { return shmkit_segment_size(to_.get()); }
    const shmkit_segment *get() const noexcept { return to_.get(); }

private:
    segment() = default;
    detail::handle<shmkit_segment, shmkit_segment_close> to_;
};

/* How a lock was found by who has taken it. */
enum class condition { clean, owner_died, not_recoverable, poisoned };

namespace detail {

inline condition found(shmkit_status status) {
    switch (status) {
    case SHMKIT_STATUS_OK: return condition::clean;
    case SHMKIT_STATUS_OWNER_DIED: return condition::owner_died;
    case SHMKIT_STATUS_NOT_RECOVERABLE: return condition::not_recoverable;
    case SHMKIT_STATUS_POISONED: return condition::poisoned;
    default: throw error(status);
    }
}

} // namespace detail

/* A mutex between processes. After the death of one that held it, lock() takes it as ever; state() says so to whoever holds it,
 * and make_consistent() answers for what it guards. */
class mutex {
public:
    mutex(const segment &at, const std::string &name) {
        detail::check(shmkit_mutex_open(at.get(), name.c_str(), to_.place()));
    }

    void lock() { state_ = detail::found(shmkit_mutex_lock(to_.get(), -1)); }
    bool try_lock() { return try_lock_for(milliseconds{0}); }
    bool try_lock_for(milliseconds wait) {
        const shmkit_status status = shmkit_mutex_lock(to_.get(), wait.count());
        if (status == SHMKIT_STATUS_TIMED_OUT) return false;
        state_ = detail::found(status);
        return true;
    }
    void unlock() { detail::check(shmkit_mutex_unlock(to_.get())); }

    /* Of whoever holds it, as the next ones. */
    condition state() const noexcept { return state_; }
    void make_consistent() {
        detail::check(shmkit_mutex_make_consistent(to_.get()));
        state_ = condition::clean;
    }
    std::uint64_t &data() {
        std::uint64_t *at = nullptr;
        detail::check(shmkit_mutex_data(to_.get(), &at));
        return *at;
    }

    const shmkit_mutex *get() const noexcept { return to_.get(); }
    /* What was found by who waited with a condition variable. */
    void found(condition state) noexcept { state_ = state; }

private:
    detail::handle<shmkit_mutex, shmkit_mutex_close> to_;
    /* Written by who holds the lock. */
    condition state_ = condition::clean;
};

/* A readers-writer lock between processes. What was found by who has locked it is what lock() and lock_shared() return. */
class shared_mutex {
public:
    shared_mutex(const segment &at, const std::string &name) {
        detail::check(shmkit_rwlock_open(at.get(), name.c_str(), to_.place()));
    }

    condition lock() { return detail::found(shmkit_rwlock_write(to_.get(), -1)); }
    bool try_lock() { return taken(shmkit_rwlock_write(to_.get(), 0)); }
    void unlock() { detail::check(shmkit_rwlock_unlock(to_.get())); }
    condition lock_shared() { return detail::found(shmkit_rwlock_read(to_.get(), -1)); }
    bool try_lock_shared() { return taken(shmkit_rwlock_read(to_.get(), 0)); }
    void unlock_shared() { unlock(); }
    void make_consistent() { detail::check(shmkit_rwlock_make_consistent(to_.get())); }

private:
    static bool taken(shmkit_status status) {
        if (status == SHMKIT_STATUS_TIMED_OUT) return false;
        detail::found(status);
        return true;
    }

    detail::handle<shmkit_rwlock, shmkit_rwlock_close> to_;
};

/* A condition variable between processes, used with one shmkit::mutex that this thread has locked. */
class condition_variable {
public:
    condition_variable(const segment &at, const std::string &name) {
        detail::check(shmkit_condvar_open(at.get(), name.c_str(), to_.place()));
    }

    /* Returns whether somebody notified in time. The mutex is locked in either case. */
    bool wait_for(mutex &lock, milliseconds wait) {
        const shmkit_status status = shmkit_condvar_wait(to_.get(), lock.get(), wait.count());
        if (status == SHMKIT_STATUS_TIMED_OUT) return false;
        lock.found(detail::found(status));
        return true;
    }
    void wait(mutex &lock) { wait_for(lock, forever); }
    template <class Predicate>
    void wait(mutex &lock, Predicate is_so) {
        while (!is_so()) wait(lock);
    }
    void notify_one(mutex &lock) { detail::check(shmkit_condvar_notify_one(to_.get(), lock.get())); }
    void notify_all(mutex &lock) { detail::check(shmkit_condvar_notify_all(to_.get(), lock.get())); }

private:
    detail::handle<shmkit_condvar, shmkit_condvar_close> to_;
};

/* A semaphore between processes, whose permits come back from the dead. */
class semaphore {
public:
    semaphore(const segment &at, const std::string &name, std::uint32_t permits) {
        detail::check(shmkit_semaphore_open(at.get(), name.c_str(), permits, to_.place()));
    }

    void acquire(std::uint32_t count = 1) { try_acquire_for(forever, count); }
    bool try_acquire(std::uint32_t count = 1) { return try_acquire_for(milliseconds{0}, count); }
    bool try_acquire_for(milliseconds wait, std::uint32_t count = 1) {
        return detail::in_time(shmkit_semaphore_acquire(to_.get(), count, wait.count()));
    }
    void release(std::uint32_t count = 1) { detail::check(shmkit_semaphore_release(to_.get(), count)); }

private:
    detail::handle<shmkit_semaphore, shmkit_semaphore_close> to_;
};

/* An event between processes. */
class event {
public:
    event(const segment &at, const std::string &name) {
        detail::check(shmkit_event_open(at.get(), name.c_str(), to_.place()));
    }

    void set() { detail::check(shmkit_event_set(to_.get())); }
    void clear() { detail::check(shmkit_event_clear(to_.get())); }
    bool wait(milliseconds wait = forever) {
        return detail::in_time(shmkit_event_wait(to_.get(), wait.count()));
    }
    bool is_set() const {
        bool set = false;
        detail::check(shmkit_event_is_set(to_.get(), &set));
        return set;
    }

private:
    detail::handle<shmkit_event, shmkit_event_close> to_;
};

/* A barrier between processes. */
class barrier {
public:
    barrier(const segment &at, const std::string &name, std::uint32_t parties) {
        detail::check(shmkit_barrier_open(at.get(), name.c_str(), parties, to_.place()));
    }

    /* Returns which party this is, from 0. */
    std::uint32_t wait(milliseconds wait = forever) {
        std::uint32_t index = 0;
        detail::check(shmkit_barrier_wait(to_.get(), wait.count(), &index));
        return index;
    }
    void reset() { detail::check(shmkit_barrier_reset(to_.get())); }
    void abort() { detail::check(shmkit_barrier_abort(to_.get())); }

private:
    detail::handle<shmkit_barrier, shmkit_barrier_close> to_;
};

/* A number with a lock of its own. */
template <class T>
class value {
public:
    value(const segment &at, const std::string &name) {
        detail::check(shmkit_value_open(at.get(), name.c_str(), detail::type<T>(), to_.place()));
    }

    T get() const {
        T number{};
        detail::check(shmkit_value_get(to_.get(), &number, -1));
        return number;
    }
    void set(T number) { detail::check(shmkit_value_set(to_.get(), &number, -1)); }
    /* Returns the sum. */
    T add(T by) {
        T sum{};
        detail::check(shmkit_value_add(to_.get(), &by, &sum));
        return sum;
    }

private:
    detail::handle<shmkit_value, shmkit_value_close> to_;
};

/* Numbers in a row. */
template <class T>
class array {
public:
    array(const segment &at, const std::string &name, std::size_t length) {
        detail::check(
            shmkit_array_open(at.get(), name.c_str(), detail::type<T>(), length, to_.place()));
    }

    std::size_t size() const {
        std::size_t length = 0;
        detail::check(shmkit_array_length(to_.get(), &length));
        return length;
    }
    std::vector<T> read(std::size_t first, std::size_t count) const {
        std::vector<T> numbers(count);
        detail::check(shmkit_array_read(to_.get(), first, count, numbers.data()));
        return numbers;
    }
    void write(std::size_t first, const std::vector<T> &numbers) {
        detail::check(shmkit_array_write(to_.get(), first, numbers.size(), numbers.data()));
    }
    void make_consistent() { detail::check(shmkit_array_make_consistent(to_.get())); }

private:
    detail::handle<shmkit_array, shmkit_array_close> to_;
};

/* The end of a pipe that sends. */
class sender {
public:
    sender(const segment &at, const std::string &name, std::uint64_t size) {
        detail::check(shmkit_sender_open(at.get(), name.c_str(), size, to_.place()));
    }

    bool send(std::string_view message, milliseconds wait = forever) {
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(message.data());
        return detail::in_time(shmkit_sender_send(to_.get(), bytes, message.size(), wait.count()));
    }

private:
    detail::handle<shmkit_sender, shmkit_sender_close> to_;
};

namespace detail {

/* A message by a function that tells its length if the room is too short; nothing if none came in time, or none comes any more. */
template <class Receive>
std::optional<std::string> message(Receive receive) {
    std::string room(256, '\0');
    for (;;) {
        std::size_t length = 0;
        auto *bytes = reinterpret_cast<std::uint8_t *>(room.data());
        switch (const shmkit_status status = receive(bytes, room.size(), &length)) {
        case SHMKIT_STATUS_OK: room.resize(length); return room;
        case SHMKIT_STATUS_TOO_SHORT: room.resize(length); break;
        case SHMKIT_STATUS_TIMED_OUT:
        case SHMKIT_STATUS_CLOSED: return std::nullopt;
        default: throw error(status);
        }
    }
}

} // namespace detail

/* The end of a pipe that receives. */
class receiver {
public:
    receiver(const segment &at, const std::string &name, std::uint64_t size) {
        detail::check(shmkit_receiver_open(at.get(), name.c_str(), size, to_.place()));
    }

    std::optional<std::string> recv(milliseconds wait = forever) {
        return detail::message([&](std::uint8_t *room, std::size_t size, std::size_t *length) {
            return shmkit_receiver_recv(to_.get(), room, size, length, wait.count());
        });
    }

private:
    detail::handle<shmkit_receiver, shmkit_receiver_close> to_;
};

/* A queue of messages. */
class queue {
public:
    queue(const segment &at, const std::string &name, std::uint64_t capacity, std::uint64_t size) {
        detail::check(shmkit_queue_open(at.get(), name.c_str(), capacity, size, to_.place()));
    }

    bool put(std::string_view message, milliseconds wait = forever) {
        const auto *bytes = reinterpret_cast<const std::uint8_t *>(message.data());
        return detail::in_time(shmkit_queue_put(to_.get(), bytes, message.size(), wait.count()));
    }
    std::optional<std::string> get(milliseconds wait = forever) {
        return detail::message([&](std::uint8_t *room, std::size_t size, std::size_t *length) {
            return shmkit_queue_get(to_.get(), room, size, length, wait.count());
        });
    }
    /* For all. */
    void shut() { detail::check(shmkit_queue_shut(to_.get())); }

private:
    detail::handle<shmkit_queue, shmkit_queue_close> to_;
};

} // namespace shmkit

#endif
