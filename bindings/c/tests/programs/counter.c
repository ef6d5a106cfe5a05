/* Adds to a counter that programs in four languages share; or takes its lock, says so, and waits to be killed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shmkit.h"

/* No wait here lasts a tenth of this. */
#define LIMIT 60000

static void check(shmkit_status status) {
    if (status == SHMKIT_STATUS_OK) return;
    fprintf(stderr, "%s: %s\n", shmkit_status_text(status), shmkit_last_error());
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    shmkit_segment *segment;
    shmkit_mutex *lock;
    shmkit_value *count;
    check(shmkit_segment_open(argv[1], &segment));
    check(shmkit_mutex_open(segment, "lock", &lock));
    check(shmkit_value_open(segment, "count", SHMKIT_TYPE_I64, &count));

    uint64_t *data;
    if (strcmp(argv[2], "hold") == 0) {
        check(shmkit_mutex_lock(lock, LIMIT));
        check(shmkit_mutex_data(lock, &data));
        *data += 1;
        puts("held");
        fflush(stdout);
        for (;;) pause();
    }
    int64_t one = 1;
    for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
        shmkit_status status = shmkit_mutex_lock(lock, LIMIT);
        if (status == SHMKIT_STATUS_OWNER_DIED) {
            puts("inherited");
            check(shmkit_mutex_make_consistent(lock));
        } else {
            check(status);
        }
        check(shmkit_mutex_data(lock, &data));
        *data += 1;
        check(shmkit_mutex_unlock(lock));
        check(shmkit_value_add(count, &one, NULL));
    }
    shmkit_value_close(count);
    shmkit_mutex_close(lock);
    shmkit_segment_close(segment);
    return 0;
}
