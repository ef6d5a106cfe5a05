/* shmkit for C: shared memory between processes that survives kill -9.
 *
 * This file is made from the library's source: do not change it. See README.md beside it.
 */

#ifndef SHMKIT_H
#define SHMKIT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 How a call ended. What is above 0 and below 10 has given what was asked for, and has something to say beside.
 */
enum shmkit_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   It was done.
   */
  SHMKIT_STATUS_OK = 0,
  /*
   The lock is held, and was taken from somebody who died: what it guards may be half changed. Make it good, and say so by the
   function whose name ends in `_make_consistent`; unlocked without, the next one is told `NOT_RECOVERABLE`.
   */
  SHMKIT_STATUS_OWNER_DIED = 1,
  /*
   The lock is held; somebody inherited it from the dead and gave up on what it guards.
   */
  SHMKIT_STATUS_NOT_RECOVERABLE = 2,
  /*
   The lock is held; a thread of a Rust program panicked while it held it.
   */
  SHMKIT_STATUS_POISONED = 3,
  /*
   It did not come about in the time that was given.
   */
  SHMKIT_STATUS_TIMED_OUT = 10,
  /*
   There is nothing of this name.
   */
  SHMKIT_STATUS_NOT_FOUND = 11,
  /*
   There is something of this name already.
   */
  SHMKIT_STATUS_EXISTS = 12,
  /*
   An argument is none: a null pointer, a name that is no UTF-8, a number out of range, an object of another kind or type.
   */
  SHMKIT_STATUS_INVALID = 13,
  /*
   The buffer is too short for what is there, which is still there; the length was told.
   */
  SHMKIT_STATUS_TOO_SHORT = 14,
  /*
   What is to be put is longer than there can ever be room for.
   */
  SHMKIT_STATUS_TOO_LONG = 15,
  /*
   The other side has ended in good order, or the queue was closed: there is nothing more.
   */
  SHMKIT_STATUS_CLOSED = 16,
  /*
   Somebody died whom this depends on.
   */
  SHMKIT_STATUS_PEER_DIED = 17,
  /*
   The barrier is broken, or the wait was told to stop.
   */
  SHMKIT_STATUS_ABORTED = 18,
  /*
   This process does not hold what it wants to give back.
   */
  SHMKIT_STATUS_NOT_OWNER = 19,
  /*
   This thread would wait for itself.
   */
  SHMKIT_STATUS_DEADLOCK = 20,
  /*
   Somebody else has it: the end of a pipe.
   */
  SHMKIT_STATUS_BUSY = 21,
  /*
   The system does not allow it.
   */
  SHMKIT_STATUS_DENIED = 22,
  /*
   There is no memory, no room in the segment, or no room where segments are.
   */
  SHMKIT_STATUS_NO_SPACE = 23,
  /*
   What lies in shared memory is none: another program has written there.
   */
  SHMKIT_STATUS_CORRUPT = 24,
  /*
   Something else; the text says what.
   */
  SHMKIT_STATUS_OTHER = 25,
  /*
   A defect of the library itself. Nothing is known of what was to be done.
   */
  SHMKIT_STATUS_INTERNAL = 26,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum shmkit_status shmkit_status;
#else
typedef int32_t shmkit_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 A type of numbers.
 */
enum shmkit_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   `int8_t`
   */
  SHMKIT_TYPE_I8 = 0,
  /*
   `uint8_t`
   */
  SHMKIT_TYPE_U8 = 1,
  /*
   `int16_t`
   */
  SHMKIT_TYPE_I16 = 2,
  /*
   `uint16_t`
   */
  SHMKIT_TYPE_U16 = 3,
  /*
   `int32_t`
   */
  SHMKIT_TYPE_I32 = 4,
  /*
   `uint32_t`
   */
  SHMKIT_TYPE_U32 = 5,
  /*
   `int64_t`
   */
  SHMKIT_TYPE_I64 = 6,
  /*
   `uint64_t`
   */
  SHMKIT_TYPE_U64 = 7,
  /*
   `float`
   */
  SHMKIT_TYPE_F32 = 8,
  /*
   `double`
   */
  SHMKIT_TYPE_F64 = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum shmkit_type shmkit_type;
#else
typedef int32_t shmkit_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 An array of numbers between processes. A Rust program has it as `Array<f64>`, and so on.
 */
typedef struct shmkit_array shmkit_array;

/*
 A barrier between processes, and their threads.
 */
typedef struct shmkit_barrier shmkit_barrier;

/*
 A condition variable between processes. All use it with one mutex of the same segment.
 */
typedef struct shmkit_condvar shmkit_condvar;

/*
 An event between processes.
 */
typedef struct shmkit_event shmkit_event;

/*
 A mutex between processes. A Rust program has it as `Mutex<u64>`: a number of eight bytes lies beside it, for whoever holds it.

 It excludes threads and processes. Any thread of the process that holds it may unlock it.
 */
typedef struct shmkit_mutex shmkit_mutex;

/*
 A queue between processes: bounded, first in first out for each who puts.
 */
typedef struct shmkit_queue shmkit_queue;

/*
 The end of a pipe that receives. One thread receives at a time: another one waits for it.
 */
typedef struct shmkit_receiver shmkit_receiver;

/*
 A readers-writer lock between processes. A Rust program has it as `RwLock<u64>`.
 */
typedef struct shmkit_rwlock shmkit_rwlock;

/*
 A segment that this process takes part in.
 */
typedef struct shmkit_segment shmkit_segment;

/*
 A semaphore between processes. Permits belong to the process that has acquired them.
 */
typedef struct shmkit_semaphore shmkit_semaphore;

/*
 The end of a pipe that sends. One thread sends at a time: another one waits for it.
 */
typedef struct shmkit_sender shmkit_sender;

/*
 A number between processes. A Rust program has it as `Value<i64>`, and so on.
 */
typedef struct shmkit_value shmkit_value;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Finds the array `name` in the segment, or makes one of `length` numbers that are 0. Fails with `INVALID` if it has another type or
 length.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `array` can be written to.
 */
shmkit_status shmkit_array_open(const struct shmkit_segment *segment,
                                const char *name,
                                int32_t type_,
                                size_t length,
                                struct shmkit_array **array);

/*
 Gives how many numbers there are.

 # Safety

 `array` is a handle that was not freed, `length` can be written to.
 */
shmkit_status shmkit_array_length(const struct shmkit_array *array, size_t *length);

/*
 Reads `count` numbers, from the one of index `first` on, to `to`. All are of one moment. If a peer is
 killed that writes many, this fails with `PEER_DIED` until somebody has called `shmkit_array_make_consistent`.

 # Safety

 `array` is a handle that was not freed; `count` numbers of its type can be written to `to`.
 */
shmkit_status shmkit_array_read(const struct shmkit_array *array,
                                size_t first,
                                size_t count,
                                void *to);

/*
 Writes `count` numbers from `from`, from the one of index `first` on. Killed in the middle, those who read are told.

 # Safety

 `array` is a handle that was not freed; there are `count` numbers of its type at `from`.
 */
shmkit_status shmkit_array_write(const struct shmkit_array *array,
                                 size_t first,
                                 size_t count,
                                 const void *from);

/*
 Says that the numbers are good as they are, after a peer was killed that wrote many.

 # Safety

 `array` is a handle that was not freed.
 */
shmkit_status shmkit_array_make_consistent(const struct shmkit_array *array);

/*
 Frees the handle. Null is ignored.

 # Safety

 `array` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_array_close(struct shmkit_array *array);

/*
 Finds the barrier `name` in the segment, or makes one for so many parties.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `barrier` can be written to.
 */
shmkit_status shmkit_barrier_open(const struct shmkit_segment *segment,
                                  const char *name,
                                  uint32_t parties,
                                  struct shmkit_barrier **barrier);

/*
 Waits until all parties are here: for so many milliseconds, for ever if negative; one whose time is over breaks the barrier. `index`
 is told which party this is, from 0, and may be null.

 If a peer is killed that has come, all who wait are told `PEER_DIED`, and the barrier is broken: those who come are told
 `ABORTED` until it is reset.

 # Safety

 `barrier` is a handle that was not freed, `index` is null or can be written to.
 */
shmkit_status shmkit_barrier_wait(const struct shmkit_barrier *barrier,
                                  int64_t milliseconds,
                                  uint32_t *index);

/*
 Makes the barrier good again. Those who wait are told `ABORTED`.

 # Safety

 `barrier` is a handle that was not freed.
 */
shmkit_status shmkit_barrier_reset(const struct shmkit_barrier *barrier);

/*
 Breaks the barrier: all who wait and who come are told `ABORTED`.

 # Safety

 `barrier` is a handle that was not freed.
 */
shmkit_status shmkit_barrier_abort(const struct shmkit_barrier *barrier);

/*
 Frees the handle. Null is ignored.

 # Safety

 `barrier` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_barrier_close(struct shmkit_barrier *barrier);

/*
 Finds the condition variable `name` in the segment, or makes it.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `condvar` can be written to.
 */
shmkit_status shmkit_condvar_open(const struct shmkit_segment *segment,
                                  const char *name,
                                  struct shmkit_condvar **condvar);

/*
 Unlocks the mutex, which this thread has locked, waits until somebody notifies, and locks it again: for so many milliseconds, for
 ever if negative. `TIMED_OUT` means that the mutex is locked again, too. It may wake for no reason: look whether what is waited
 for is so.

 `OWNER_DIED`, `NOT_RECOVERABLE` and `POISONED` are as of `shmkit_mutex_lock`. After `INVALID` it is locked, as before; after any other failure it is not. If a
 peer is killed that was notified, the notification goes to another one.

 # Safety

 `condvar` and `mutex` are handles that were not freed.
 */
shmkit_status shmkit_condvar_wait(const struct shmkit_condvar *condvar,
                                  const struct shmkit_mutex *mutex,
                                  int64_t milliseconds);

/*
 Wakes one who waits. The mutex is locked by this process.

 # Safety

 `condvar` and `mutex` are handles that were not freed.
 */
shmkit_status shmkit_condvar_notify_one(const struct shmkit_condvar *condvar,
                                        const struct shmkit_mutex *mutex);

/*
 Wakes all who wait. The mutex is locked by this process.

 # Safety

 `condvar` and `mutex` are handles that were not freed.
 */
shmkit_status shmkit_condvar_notify_all(const struct shmkit_condvar *condvar,
                                        const struct shmkit_mutex *mutex);

/*
 Frees the handle. Null is ignored.

 # Safety

 `condvar` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_condvar_close(struct shmkit_condvar *condvar);

/*
 Finds the event `name` in the segment, or makes one that is not set.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `event` can be written to.
 */
shmkit_status shmkit_event_open(const struct shmkit_segment *segment,
                                const char *name,
                                struct shmkit_event **event);

/*
 Sets the event, and wakes all who wait for it. If a peer is killed in the middle, it is done or not done.

 # Safety

 `event` is a handle that was not freed.
 */
shmkit_status shmkit_event_set(const struct shmkit_event *event);

/*
 Clears the event.

 # Safety

 `event` is a handle that was not freed.
 */
shmkit_status shmkit_event_clear(const struct shmkit_event *event);

/*
 Waits until the event is set: for so many milliseconds, for ever if negative. Whoever was to set it may have been killed: this
 does not find that out.

 # Safety

 `event` is a handle that was not freed.
 */
shmkit_status shmkit_event_wait(const struct shmkit_event *event,
                                int64_t milliseconds);

/*
 Gives whether the event is set.

 # Safety

 `event` is a handle that was not freed, `set` can be written to.
 */
shmkit_status shmkit_event_is_set(const struct shmkit_event *event, bool *set);

/*
 Frees the handle. Null is ignored.

 # Safety

 `event` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_event_close(struct shmkit_event *event);

/*
 Finds the mutex `name` in the segment, or makes it.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `mutex` can be written to.
 */
shmkit_status shmkit_mutex_open(const struct shmkit_segment *segment,
                                const char *name,
                                struct shmkit_mutex **mutex);

/*
 Locks the mutex: waits for so many milliseconds, for ever if negative, not at all if 0.

 If a peer is killed that holds it, this gets it within some 40 ms, and says `OWNER_DIED`: it is locked then, and what it guards
 may be half changed. `NOT_RECOVERABLE` and `POISONED` mean that it is locked, too.

 # Safety

 `mutex` is a handle that was not freed.
 */
shmkit_status shmkit_mutex_lock(const struct shmkit_mutex *mutex,
                                int64_t milliseconds);

/*
 Says that what the mutex guards is good again, after `OWNER_DIED` or `NOT_RECOVERABLE`. Whoever holds it calls this.

 # Safety

 `mutex` is a handle that was not freed.
 */
shmkit_status shmkit_mutex_make_consistent(const struct shmkit_mutex *mutex);

/*
 Unlocks the mutex, which was locked by this handle.

 # Safety

 `mutex` is a handle that was not freed.
 */
shmkit_status shmkit_mutex_unlock(const struct shmkit_mutex *mutex);

/*
 Gives the address of the number beside the mutex, to be used by whoever holds it, until it unlocks it.

 # Safety

 `mutex` is a handle that was not freed, `data` can be written to.
 */
shmkit_status shmkit_mutex_data(const struct shmkit_mutex *mutex,
                                uint64_t **data);

/*
 Frees the handle; a mutex that was locked by it is unlocked. Null is ignored.

 # Safety

 `mutex` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_mutex_close(struct shmkit_mutex *mutex);

/*
 Claims the end that sends of the pipe `name` in the segment, which is made for `size` bytes of messages if there is none. A Rust
 program has it as `Frames`. Fails with `BUSY` if somebody living has it; that of a dead one is taken over, and nothing that was
 sent is lost or comes twice.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `end` can be written to.
 */
shmkit_status shmkit_sender_open(const struct shmkit_segment *segment,
                                 const char *name,
                                 uint64_t size,
                                 struct shmkit_sender **end);

/*
 Sends a message of `len` bytes: waits for room for so many milliseconds, for ever if negative, not at all if 0. Killed in the middle,
 the receiver sees nothing of it, or all.

 Fails with `CLOSED` or `PEER_DIED` if nobody is there who will receive it.

 # Safety

 `end` is a handle that was not freed, there are `len` bytes at `message`.
 */
shmkit_status shmkit_sender_send(const struct shmkit_sender *end,
                                 const uint8_t *message,
                                 size_t len,
                                 int64_t milliseconds);

/*
 Waits until somebody has the other end: for so many milliseconds, for ever if negative.

 # Safety

 `end` is a handle that was not freed.
 */
shmkit_status shmkit_sender_wait_for_receiver(const struct shmkit_sender *end,
                                              int64_t milliseconds);

/*
 Gives the end up, after which the receiver is told `CLOSED` when it has received all. Null is ignored.

 # Safety

 `end` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_sender_close(struct shmkit_sender *end);

/*
 Claims the end that receives of the pipe `name` in the segment, which is made for `size` bytes of messages if there is none. A Rust
 program has it as `Frames`. Fails with `BUSY` if somebody living has it; that of a dead one is taken over, and nothing that was
 sent is lost or comes twice.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `end` can be written to.
 */
shmkit_status shmkit_receiver_open(const struct shmkit_segment *segment,
                                   const char *name,
                                   uint64_t size,
                                   struct shmkit_receiver **end);

/*
 Receives a message into `buffer`, which has room for `size` bytes, and tells its length by `len`: waits for so many milliseconds, for
 ever if negative, not at all if 0.

 Fails with `TOO_SHORT` if the message is longer, whose length is told: it is still there. `CLOSED` after the last message of a sender
 that has given up its end; `PEER_DIED` after that of one that was killed: all that it had sent was received.

 # Safety

 `end` is a handle that was not freed,
 there is room for `size` bytes at `buffer`, `len` is null or can be written to.
 */
shmkit_status shmkit_receiver_recv(const struct shmkit_receiver *end,
                                   uint8_t *buffer,
                                   size_t size,
                                   size_t *len,
                                   int64_t milliseconds);

/*
 Gives the end up, after which the sender is told `CLOSED`. Null is ignored.

 # Safety

 `end` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_receiver_close(struct shmkit_receiver *end);

/*
 Finds the queue `name` in the segment, or makes one of so many messages, of `size` bytes together. A Rust program has it as
 `MessageQueue`.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `queue` can be written to.
 */
shmkit_status shmkit_queue_open(const struct shmkit_segment *segment,
                                const char *name,
                                uint64_t capacity,
                                uint64_t size,
                                struct shmkit_queue **queue);

/*
 Puts a message of `len` bytes in: waits for room for so many milliseconds, for ever if negative, not at all if 0. Killed in the middle,
 it is in, whole, or not.

 Fails with `CLOSED` if the queue was closed, `TOO_LONG` if there can never be room for it.

 # Safety

 `queue` is a handle that was not freed, there are `len` bytes at `message`.
 */
shmkit_status shmkit_queue_put(const struct shmkit_queue *queue,
                               const uint8_t *message,
                               size_t len,
                               int64_t milliseconds);

/*
 Gets a message into `buffer`, which has room for `size` bytes, and tells its length by `len`: waits for so many milliseconds, for ever
 if negative, not at all if 0. If a peer is killed that was getting one, it comes again to another.

 Fails with `TOO_SHORT` if the message is longer, whose length is told: it is still there. `CLOSED` if the queue was closed and is
 empty.

 # Safety

 `queue` is a handle that was not freed,
 there is room for `size` bytes at `buffer`, `len` is null or can be written to.
 */
shmkit_status shmkit_queue_get(const struct shmkit_queue *queue,
                               uint8_t *buffer,
                               size_t size,
                               size_t *len,
                               int64_t milliseconds);

/*
 Gives about how many messages there are.

 # Safety

 `queue` is a handle that was not freed, `len` can be written to.
 */
shmkit_status shmkit_queue_len(const struct shmkit_queue *queue, size_t *len);

/*
 Closes the queue for all: nothing is put any more, and who gets is told `CLOSED` when nothing is left.

 # Safety

 `queue` is a handle that was not freed.
 */
shmkit_status shmkit_queue_shut(const struct shmkit_queue *queue);

/*
 Frees the handle. Null is ignored.

 # Safety

 `queue` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_queue_close(struct shmkit_queue *queue);

/*
 Finds the readers-writer lock `name` in the segment, or makes it.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `lock` can be written to.
 */
shmkit_status shmkit_rwlock_open(const struct shmkit_segment *segment,
                                 const char *name,
                                 struct shmkit_rwlock **lock);

/*
 Locks for reading: waits for so many milliseconds, for ever if negative, not at all if 0.

 If a peer is killed that reads, nobody minds. If one is killed that writes, readers and writers are told `OWNER_DIED` until a writer
 has answered for what the lock guards; it is locked then. `NOT_RECOVERABLE` and `POISONED` mean that it is locked, too.

 # Safety

 `lock` is a handle that was not freed.
 */
shmkit_status shmkit_rwlock_read(const struct shmkit_rwlock *lock,
                                 int64_t milliseconds);

/*
 Locks for writing; as `shmkit_rwlock_read` otherwise.

 # Safety

 `lock` is a handle that was not freed.
 */
shmkit_status shmkit_rwlock_write(const struct shmkit_rwlock *lock, int64_t milliseconds);

/*
 Says that what the lock guards is good again, after `OWNER_DIED` or `NOT_RECOVERABLE`. Whoever writes calls this.

 # Safety

 `lock` is a handle that was not freed.
 */
shmkit_status shmkit_rwlock_make_consistent(const struct shmkit_rwlock *lock);

/*
 Unlocks: what this process has locked for writing, or else one of its readers.

 # Safety

 `lock` is a handle that was not freed.
 */
shmkit_status shmkit_rwlock_unlock(const struct shmkit_rwlock *lock);

/*
 Frees the handle; what was locked by it is unlocked. Null is ignored.

 # Safety

 `lock` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_rwlock_close(struct shmkit_rwlock *lock);

/*
 Makes the segment `name` of `size` bytes, and takes part in it. The last participant out removes it, however that ends; what is
 left when all are killed at once is removed by the next one who comes.

 Fails with `EXISTS` if somebody lives in one of this name.

 # Safety

 `name` ends with a NUL; `segment` can be written to.
 */
shmkit_status shmkit_segment_create(const char *name,
                                    uint64_t size,
                                    struct shmkit_segment **segment);

/*
 Takes part in the segment `name`.

 Fails with `NOT_FOUND` if there is none.

 # Safety

 As for `shmkit_segment_create`.
 */
shmkit_status shmkit_segment_open(const char *name, struct shmkit_segment **segment);

/*
 Takes part in the segment `name`, which is made if there is none. If a peer is killed while it makes it, another one does.

 # Safety

 As for `shmkit_segment_create`.
 */
shmkit_status shmkit_segment_open_or_create(const char *name,
                                            uint64_t size,
                                            struct shmkit_segment **segment);

/*
 Returns how many bytes there are; 0 of a null pointer.

 # Safety

 `segment` is null, or a handle that was not freed.
 */
uint64_t shmkit_segment_size(const struct shmkit_segment *segment);

/*
 Frees the handle. This process takes part until the handles of its objects are freed, too; null is ignored.

 # Safety

 `segment` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_segment_close(struct shmkit_segment *segment);

/*
 Finds the semaphore `name` in the segment, or makes one of so many permits.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `semaphore` can be written to.
 */
shmkit_status shmkit_semaphore_open(const struct shmkit_segment *segment,
                                    const char *name,
                                    uint32_t permits,
                                    struct shmkit_semaphore **semaphore);

/*
 Acquires `count` permits at once: waits for so many milliseconds, for ever if negative, not at all if 0. If a peer is killed that
 has some, they come back within some 40 ms.

 # Safety

 `semaphore` is a handle that was not freed.
 */
shmkit_status shmkit_semaphore_acquire(const struct shmkit_semaphore *semaphore,
                                       uint32_t count,
                                       int64_t milliseconds);

/*
 Gives `count` permits back. Fails with `NOT_OWNER` or `INVALID` if this process does not have so many.

 # Safety

 `semaphore` is a handle that was not freed.
 */
shmkit_status shmkit_semaphore_release(const struct shmkit_semaphore *semaphore,
                                       uint32_t count);

/*
 Gives how many permits nobody had a moment ago.

 # Safety

 `semaphore` is a handle that was not freed, `available` can be written to.
 */
shmkit_status shmkit_semaphore_available(const struct shmkit_semaphore *semaphore,
                                         uint32_t *available);

/*
 Frees the handle. Permits that this process has stay acquired until it releases them by another handle, or ends. Null is ignored.

 # Safety

 `semaphore` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_semaphore_close(struct shmkit_semaphore *semaphore);

/*
 Returns what went wrong in the last call of this thread that failed, in words: what was found, what was expected, and what to
 do. Valid until the next call that fails. Null if none has.
 */
const char *shmkit_last_error(void);

/*
 Returns a status in words: for a number that is none, too.
 */
const char *shmkit_status_text(int32_t status);

/*
 Finds the number `name` in the segment, or makes one that is 0. Fails with `INVALID` if it has another type.

 # Safety

 `segment` is a handle that was not freed, `name` ends with a NUL, `value` can be written to.
 */
shmkit_status shmkit_value_open(const struct shmkit_segment *segment,
                                const char *name,
                                int32_t type_,
                                struct shmkit_value **value);

/*
 Reads the number, whole, to `to`. If a peer is killed that writes, it is the old one or the new one.

 # Safety

 `value` is a handle that was not freed; a number of its type can be written to `to`.
 */
shmkit_status shmkit_value_get(const struct shmkit_value *value,
                               void *to,
                               int64_t milliseconds);

/*
 Stores the number that is at `from`.

 # Safety

 `value` is a handle that was not freed; there is a number of its type at `from`.
 */
shmkit_status shmkit_value_set(const struct shmkit_value *value,
                               const void *from,
                               int64_t milliseconds);

/*
 Adds the number that is at `by`, under the lock, and stores the sum to `sum` unless that is null. Integers wrap.

 # Safety

 `value` is a handle that was not freed; there is a number of its type at `by`, and one can be written to `sum`.
 */
shmkit_status shmkit_value_add(const struct shmkit_value *value,
                               const void *by,
                               void *sum);

/*
 Has `change` change the number, whose address it gets, under the lock. Killed in it, the number is the old one. It must return: it
 must not jump out, and not use the number otherwise.

 # Safety

 `value` is a handle that was not freed; `change` keeps to its type.
 */
shmkit_status shmkit_value_update(const struct shmkit_value *value,
                                  void (*change)(void *number, void *context),
                                  void *context);

/*
 Frees the handle. Null is ignored.

 # Safety

 `value` is null, or a handle that was not freed and that nobody uses any more.
 */
void shmkit_value_close(struct shmkit_value *value);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHMKIT_H */
