// Boost.Interprocess's managed segment, for programs that are not C++.

#include <boost/interprocess/managed_shared_memory.hpp>

#include <cstddef>
#include <exception>
#include <new>

using namespace boost::interprocess;

// Makes a segment of so many bytes, whose name is gone at once; null if that fails.
extern "C" void *boost_segment_new(const char *name, std::size_t bytes) {
    try {
        shared_memory_object::remove(name);
        auto *segment = new managed_shared_memory(create_only, name, bytes);
        shared_memory_object::remove(name);
        return segment;
    } catch (const std::exception &) {
        return nullptr;
    }
}

// Returns so many bytes of it, or null.
extern "C" void *boost_segment_take(void *segment, std::size_t bytes) {
    return static_cast<managed_shared_memory *>(segment)->allocate(bytes, std::nothrow);
}

// Gives them back.
extern "C" void boost_segment_give(void *segment, void *block) {
    static_cast<managed_shared_memory *>(segment)->deallocate(block);
}
