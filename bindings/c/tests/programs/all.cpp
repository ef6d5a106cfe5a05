// The owners of C++ once, beside what the C header is tested for.
#include <iostream>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "shmkit.hpp"

static void is(bool fact, int line) {
    if (!fact) {
        std::cerr << "line " << line << std::endl;
        std::exit(1);
    }
}
#define IS(fact) is((fact), __LINE__)

int main(int argc, char **argv) try {
    if (argc != 2) return 2;
    try {
        shmkit::segment::open(argv[1]);
        IS(false);
    } catch (const shmkit::error &error) {
        IS(error.status() == SHMKIT_STATUS_NOT_FOUND);
        IS(std::string(error.what()).find(argv[1]) != std::string::npos);
    }
    auto segment = shmkit::segment::create(argv[1], 1 << 20);
    shmkit::mutex lock(segment, "lock");
    shmkit::condition_variable changed(segment, "changed");
    std::thread other([&] {
        std::lock_guard held(lock);
        lock.data() = 7;
        changed.notify_all(lock);
    });
    {
        std::lock_guard held(lock);
        changed.wait(lock, [&] { return lock.data() == 7; });
        IS(!lock.try_lock());
        IS(!changed.wait_for(lock, shmkit::milliseconds(1)));
    }
    other.join();

    shmkit::shared_mutex table(segment, "table");
    {
        std::shared_lock one(table), two(table);
        IS(!table.try_lock());
    }
    { std::unique_lock writing(table); }

    shmkit::semaphore doors(segment, "doors", 2);
    doors.acquire(2);
    IS(!doors.try_acquire());
    doors.release(2);
    shmkit::event bell(segment, "bell");
    IS(!bell.wait(shmkit::milliseconds(1)));
    bell.set();
    IS(bell.wait() && bell.is_set());
    shmkit::barrier lap(segment, "lap", 1);
    IS(lap.wait() == 0);

    shmkit::value<double> price(segment, "price");
    price.set(1.25);
    IS(price.add(1) == 2.25 && price.get() == 2.25);
    shmkit::array<std::uint16_t> row(segment, "row", 8);
    row.write(3, {1, 2, 3});
    IS(row.size() == 8 && row.read(2, 5) == std::vector<std::uint16_t>({0, 1, 2, 3, 0}));

    shmkit::receiver in(segment, "pipe", 1 << 14);
    {
        shmkit::sender out(segment, "pipe", 1 << 14);
        const std::string text(5000, 'x');
        IS(out.send(text) && in.recv() == text);
        IS(!in.recv(shmkit::milliseconds(0)));
    }
    IS(!in.recv());
    shmkit::queue queue(segment, "queue", 4, 1 << 17);
    IS(queue.put("one") && queue.put(std::string(1000, 'y')));
    IS(queue.get() == "one" && queue.get()->size() == 1000);
    queue.shut();
    IS(!queue.get());
    return 0;
} catch (const shmkit::error &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
