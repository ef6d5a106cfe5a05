// Adds to a counter that programs in four languages share.
#include <cstdlib>
#include <iostream>
#include <mutex>

#include "shmkit.hpp"

int main(int argc, char **argv) try {
    if (argc != 3) return 2;
    auto segment = shmkit::segment::open(argv[1]);
    shmkit::mutex lock(segment, "lock");
    shmkit::value<std::int64_t> count(segment, "count");
    for (long left = std::strtol(argv[2], nullptr, 10); left > 0; left--) {
        {
            std::unique_lock held(lock);
            if (lock.state() == shmkit::condition::owner_died) {
                std::cout << "inherited" << std::endl;
                lock.make_consistent();
            }
            lock.data() += 1;
        }
        count.add(1);
    }
    // The same object is what the other guards take.
    { std::lock_guard held(lock); }
    { std::scoped_lock held(lock); }
    return 0;
} catch (const shmkit::error &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
