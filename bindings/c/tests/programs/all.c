/* Every function once, and what it says when it is used wrongly. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmkit.h"

#define LIMIT 60000

#define IS(status, call)                                                                           \
    do {                                                                                           \
        shmkit_status got = (call);                                                                \
        if (got != SHMKIT_STATUS_##status) {                                                       \
            const char *text = shmkit_last_error();                                                \
            fprintf(stderr, "line %d: %s: %s: %s\n", __LINE__, #call, shmkit_status_text(got),     \
                    text ? text : "");                                                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define OK(call) IS(OK, call)
#define TRUE(fact)                                                                                 \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #fact);                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void twice(void *number, void *context) {
    *(double *)number *= 2;
    *(int *)context += 1;
}

static void numbers(shmkit_segment *segment) {
    shmkit_value *value, *other;
    OK(shmkit_value_open(segment, "number", SHMKIT_TYPE_F64, &value));
    IS(INVALID, shmkit_value_open(segment, "number", SHMKIT_TYPE_I64, &other));
    IS(INVALID, shmkit_value_open(segment, "number", 99, &other));
    double number = 1.5, sum = 0;
    int changes = 0;
    OK(shmkit_value_set(value, &number, LIMIT));
    OK(shmkit_value_update(value, twice, &changes));
    OK(shmkit_value_add(value, &number, &sum));
    OK(shmkit_value_get(value, &number, 0));
    TRUE(number == 4.5 && sum == 4.5 && changes == 1);
    IS(INVALID, shmkit_value_get(value, NULL, 0));
    IS(INVALID, shmkit_value_update(value, NULL, NULL));
    IS(INVALID, shmkit_value_get(NULL, &number, 0));
    shmkit_value_close(value);

    shmkit_array *array;
    size_t length;
    int32_t row[4] = {1, -2, 3, -4}, copy[4] = {0};
    OK(shmkit_array_open(segment, "row", SHMKIT_TYPE_I32, 10, &array));
    OK(shmkit_array_length(array, &length));
    TRUE(length == 10);
    OK(shmkit_array_write(array, 6, 4, row));
    OK(shmkit_array_read(array, 6, 4, copy));
    TRUE(memcmp(row, copy, sizeof row) == 0);
    IS(INVALID, shmkit_array_write(array, 7, 4, row));
    IS(INVALID, shmkit_array_read(array, SIZE_MAX, 4, copy));
    OK(shmkit_array_make_consistent(array));
    shmkit_array_close(array);
}

struct pair {
    shmkit_mutex *mutex;
    shmkit_condvar *condvar;
};

static void *sets(void *argument) {
    struct pair *pair = argument;
    uint64_t *data;
    OK(shmkit_mutex_lock(pair->mutex, LIMIT));
    OK(shmkit_mutex_data(pair->mutex, &data));
    *data = 7;
    OK(shmkit_condvar_notify_all(pair->condvar, pair->mutex));
    OK(shmkit_mutex_unlock(pair->mutex));
    return NULL;
}

static void locks(shmkit_segment *segment) {
    struct pair pair;
    uint64_t *data;
    OK(shmkit_mutex_open(segment, "mutex", &pair.mutex));
    OK(shmkit_condvar_open(segment, "condvar", &pair.condvar));
    IS(NOT_OWNER, shmkit_mutex_unlock(pair.mutex));
    IS(NOT_OWNER, shmkit_mutex_data(pair.mutex, &data));
    IS(NOT_OWNER, shmkit_condvar_notify_one(pair.condvar, pair.mutex));
    IS(NOT_OWNER, shmkit_condvar_wait(pair.condvar, pair.mutex, 0));
    OK(shmkit_mutex_lock(pair.mutex, 0));
    IS(TIMED_OUT, shmkit_mutex_lock(pair.mutex, 0));
    IS(TIMED_OUT, shmkit_condvar_wait(pair.condvar, pair.mutex, 1));
    pthread_t thread;
    TRUE(pthread_create(&thread, NULL, sets, &pair) == 0);
    OK(shmkit_mutex_data(pair.mutex, &data));
    while (*data != 7) OK(shmkit_condvar_wait(pair.condvar, pair.mutex, LIMIT));
    OK(shmkit_condvar_notify_one(pair.condvar, pair.mutex));
    OK(shmkit_mutex_unlock(pair.mutex));
    TRUE(pthread_join(thread, NULL) == 0);
    shmkit_condvar_close(pair.condvar);
    shmkit_mutex_close(pair.mutex);

    shmkit_rwlock *table;
    OK(shmkit_rwlock_open(segment, "table", &table));
    IS(NOT_OWNER, shmkit_rwlock_unlock(table));
    OK(shmkit_rwlock_read(table, 0));
    OK(shmkit_rwlock_read(table, 0));
    IS(TIMED_OUT, shmkit_rwlock_write(table, 0));
    OK(shmkit_rwlock_unlock(table));
    OK(shmkit_rwlock_unlock(table));
    OK(shmkit_rwlock_write(table, 0));
    OK(shmkit_rwlock_make_consistent(table));
    IS(TIMED_OUT, shmkit_rwlock_read(table, 0));
    OK(shmkit_rwlock_unlock(table));
    IS(NOT_OWNER, shmkit_rwlock_make_consistent(table));
    shmkit_rwlock_close(table);

    shmkit_semaphore *doors;
    uint32_t available;
    OK(shmkit_semaphore_open(segment, "doors", 3, &doors));
    OK(shmkit_semaphore_acquire(doors, 2, 0));
    IS(TIMED_OUT, shmkit_semaphore_acquire(doors, 2, 0));
    OK(shmkit_semaphore_available(doors, &available));
    TRUE(available == 1);
    OK(shmkit_semaphore_release(doors, 2));
    TRUE(shmkit_semaphore_release(doors, 1) != SHMKIT_STATUS_OK);
    shmkit_semaphore_close(doors);

    shmkit_event *bell;
    bool set;
    OK(shmkit_event_open(segment, "bell", &bell));
    IS(TIMED_OUT, shmkit_event_wait(bell, 0));
    OK(shmkit_event_set(bell));
    OK(shmkit_event_wait(bell, -1));
    OK(shmkit_event_is_set(bell, &set));
    TRUE(set);
    OK(shmkit_event_clear(bell));
    OK(shmkit_event_is_set(bell, &set));
    TRUE(!set);
    shmkit_event_close(bell);

    shmkit_barrier *lap;
    uint32_t index = 9;
    OK(shmkit_barrier_open(segment, "lap", 1, &lap));
    OK(shmkit_barrier_wait(lap, LIMIT, &index));
    TRUE(index == 0);
    OK(shmkit_barrier_abort(lap));
    IS(ABORTED, shmkit_barrier_wait(lap, LIMIT, NULL));
    OK(shmkit_barrier_reset(lap));
    OK(shmkit_barrier_wait(lap, LIMIT, NULL));
    shmkit_barrier_close(lap);
}

static void messages(shmkit_segment *segment) {
    const uint8_t *text = (const uint8_t *)"some words";
    uint8_t room[16];
    size_t length = 0;
    shmkit_sender *sender;
    shmkit_receiver *receiver, *second;
    OK(shmkit_sender_open(segment, "pipe", 4096, &sender));
    OK(shmkit_receiver_open(segment, "pipe", 4096, &receiver));
    IS(BUSY, shmkit_receiver_open(segment, "pipe", 4096, &second));
    OK(shmkit_sender_wait_for_receiver(sender, LIMIT));
    IS(TIMED_OUT, shmkit_receiver_recv(receiver, room, sizeof room, &length, 0));
    OK(shmkit_sender_send(sender, text, 10, LIMIT));
    IS(TOO_SHORT, shmkit_receiver_recv(receiver, room, 4, &length, LIMIT));
    TRUE(length == 10);
    OK(shmkit_receiver_recv(receiver, room, sizeof room, &length, LIMIT));
    TRUE(length == 10 && memcmp(room, text, 10) == 0);
    shmkit_sender_close(sender);
    IS(CLOSED, shmkit_receiver_recv(receiver, room, sizeof room, &length, LIMIT));
    shmkit_receiver_close(receiver);

    shmkit_queue *queue;
    OK(shmkit_queue_open(segment, "queue", 4, 1 << 17, &queue));
    IS(TIMED_OUT, shmkit_queue_get(queue, room, sizeof room, &length, 0));
    OK(shmkit_queue_put(queue, text, 10, 0));
    OK(shmkit_queue_len(queue, &length));
    TRUE(length == 1);
    IS(TOO_SHORT, shmkit_queue_get(queue, room, 4, &length, 0));
    TRUE(length == 10);
    OK(shmkit_queue_get(queue, room, sizeof room, &length, 0));
    TRUE(length == 10 && memcmp(room, text, 10) == 0);
    OK(shmkit_queue_put(queue, NULL, 0, 0));
    OK(shmkit_queue_shut(queue));
    IS(CLOSED, shmkit_queue_put(queue, text, 10, 0));
    OK(shmkit_queue_get(queue, room, sizeof room, &length, 0));
    TRUE(length == 0);
    IS(CLOSED, shmkit_queue_get(queue, room, sizeof room, &length, 0));
    shmkit_queue_close(queue);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    shmkit_segment *segment, *second;
    TRUE(shmkit_last_error() == NULL);
    IS(NOT_FOUND, shmkit_segment_open(argv[1], &segment));
    TRUE(strstr(shmkit_last_error(), argv[1]) != NULL);
    OK(shmkit_segment_create(argv[1], 1 << 20, &segment));
    IS(EXISTS, shmkit_segment_create(argv[1], 1 << 20, &second));
    OK(shmkit_segment_open_or_create(argv[1], 1 << 16, &second));
    TRUE(shmkit_segment_size(second) >= 1 << 20);
    shmkit_segment_close(second);
    IS(INVALID, shmkit_segment_open(NULL, &second));
    IS(INVALID, shmkit_segment_open("\xff", &second));
    IS(INVALID, shmkit_segment_open(argv[1], NULL));
    numbers(segment);
    locks(segment);
    messages(segment);
    shmkit_segment_close(segment);
    IS(NOT_FOUND, shmkit_segment_open(argv[1], &segment));
    shmkit_segment_close(NULL);
    return 0;
}
