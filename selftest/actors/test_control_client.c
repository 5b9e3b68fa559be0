//  test_control_client.c - tests of zspool_control, against devices of this process and against
//  impostors
//
//  SPDX-License-Identifier: MPL-2.0

#include "control_client.h"
#include "control_frame.h"
#include "lib/kit.h"
#include "zspool_device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define THREADS 8
#define ROUNDS 50

static zspool_device_t *
s_device_new (const char *durability)
{
    zspool_device_t *device = zspool_device_new ();
    CHECK_OK (zspool_device_set (device, "store", KIT_STORE));
    CHECK_OK (zspool_device_set (device, "in", "@inproc://in"));
    CHECK_OK (zspool_device_set (device, "out", "@inproc://out"));
    CHECK_OK (zspool_device_set (device, "durability", durability));
    CHECK_OK (zspool_device_set (device, "commit-interval", "60000"));
    CHECK_OK (zspool_device_start (device));
    return device;
}

static const char *
s_value (zspool_control_t *control, const char *name, char text [64])
{
    zconfig_t *status = NULL;
    CHECK_OK (zspool_control_status (control, &status));
    snprintf (text, 64, "%s", zconfig_get (status, name, "?"));
    zconfig_destroy (&status);
    return text;
}

TEST (test_control_steers_a_device)
{
    zspool_device_t *device = s_device_new ("async");
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    char text [64];
    CHECK_OK (zspool_control_connect (control));
    CHECK (streq (s_value (control, "state", text), "running"));
    CHECK_OK (zspool_control_pause (control));
    CHECK (streq (s_value (control, "in/paused", text), "1"));
    CHECK_OK (zspool_control_resume (control));
    CHECK (streq (s_value (control, "in/paused", text), "0"));
    zsock_t *producer = zsock_new_push (">inproc://in");
    for (int number = 0; number < 100; number++)
        zstr_send (producer, "message");
    WAIT_UNTIL (streq (s_value (control, "in/messages", text), "100"));
    //  Not before a minute, else
    CHECK_OK (zspool_control_flush (control));
    CHECK (streq (s_value (control, "t2/count", text), "100"));
    CHECK_OK (zspool_device_flush (device));
    zsock_destroy (&producer);
    zspool_control_destroy (&control);
    zspool_device_destroy (&device);
    CHECK (access (KIT_STORE "/" ZSPOOL_CONTROL_FILE, F_OK) != 0);
}

TEST (test_control_finds_its_device_again)
{
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    zconfig_t *status = NULL;
    CHECK_CODE (zspool_control_status (control, &status), ZSPOOL_ENOENT);
    for (int round = 0; round < 3; round++) {
        zspool_device_t *device = s_device_new ("sync");
        CHECK_OK (zspool_control_status (control, &status));
        zconfig_destroy (&status);
        CHECK_OK (zspool_device_stop (device));
        CHECK_CODE (zspool_control_status (control, &status), ZSPOOL_ENOENT);
        CHECK (status == NULL);
        CHECK (strstr (zspool_control_reason (control), "no device runs"));
        zspool_device_destroy (&device);
    }
    zspool_control_destroy (&control);
}

//  Names and places of the one before are used again at once.
TEST (test_device_can_be_started_again_and_again)
{
    for (int round = 0; round < ROUNDS; round++) {
        zspool_device_t *device = zspool_device_new ();
        CHECK_OK (zspool_device_set (device, "store", KIT_STORE));
        CHECK_OK (zspool_device_set (device, "in", "@tcp://127.0.0.1:*"));
        CHECK_OK (zspool_device_set (device, "out", "@tcp://127.0.0.1:*"));
        CHECK_OK (zspool_device_start (device));
        zspool_device_destroy (&device);
    }
}

TEST (test_control_command_that_is_none_is_refused)
{
    zspool_device_t *device = s_device_new ("sync");
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    static const char *const commands [] = { "NONE", "", "STOP", "CANCEL", "$TERM", "status" };
    for (size_t index = 0; index < sizeof commands / sizeof commands [0]; index++) {
        zmsg_t *request = zmsg_new (), *reply = NULL;
        zmsg_addstr (request, commands [index]);
        zmsg_addstr (request, "argument");
        CHECK_CODE (zspool_control_ask (control, &request, &reply), ZSPOOL_EINVAL);
        CHECK (request == NULL && reply == NULL);
    }
    zmsg_t *request = zmsg_new ();
    void *large = calloc (1, ZSPOOL_CONTROL_REQUEST_BYTES_MAX);
    zmsg_addmem (request, large, ZSPOOL_CONTROL_REQUEST_BYTES_MAX);
    CHECK_CODE (zspool_control_ask (control, &request, NULL), ZSPOOL_ETOOBIG);
    free (large);
    CHECK_OK (zspool_control_pause (control));
    zspool_control_destroy (&control);
    zspool_device_destroy (&device);
}

TEST (test_control_moves_and_deletes_cursors)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_cursor (store, spool, "other", ZSPOOL_START_FIRST);
    zspool_store_destroy (&store);
    zspool_device_t *device = s_device_new ("sync");
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    CHECK_OK (zspool_control_seek_cursor (control, "main", "other", "new"));
    CHECK_OK (zspool_control_seek_cursor (control, "main", "out", "all"));
    CHECK_CODE (zspool_control_seek_cursor (control, "main", "out", "yesterday"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_control_seek_cursor (control, "main", "nobody", "all"), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_control_seek_cursor (control, "nothing", "out", "all"), ZSPOOL_ENOENT);
    CHECK (strstr (zspool_control_reason (control), "nothing"));
    CHECK_CODE (zspool_control_delete_cursor (control, "main", "out"), ZSPOOL_EBUSY);
    CHECK (*zspool_control_reason (control));
    CHECK_OK (zspool_control_delete_cursor (control, "main", "other"));
    CHECK_CODE (zspool_control_delete_cursor (control, "main", "other"), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_control_delete_cursor (control, "main", NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_control_seek_cursor (control, "main", "out", NULL), ZSPOOL_EINVAL);
    zspool_control_destroy (&control);
    zspool_device_destroy (&device);
}

static void *
s_ask_often (void *failures)
{
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    zspool_control_set_timeout (control, -1);
    for (int round = 0; round < ROUNDS; round++) {
        zconfig_t *status = NULL;
        int rc = round % 5 == 0? zspool_control_flush (control):
                                 zspool_control_status (control, &status);
        if (rc)
            __atomic_add_fetch ((int *) failures, 1, __ATOMIC_SEQ_CST);
        zconfig_destroy (&status);
    }
    zspool_control_destroy (&control);
    return NULL;
}

//  And the application asks, too.
TEST (test_control_of_many_threads_is_answered)
{
    zspool_device_t *device = s_device_new ("async");
    zsock_t *producer = zsock_new_push (">inproc://in");
    pthread_t threads [THREADS];
    int failures = 0;
    for (int index = 0; index < THREADS; index++)
        CHECK (pthread_create (&threads [index], NULL, s_ask_often, &failures) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        zstr_send (producer, "message");
        CHECK_OK (zspool_device_flush (device));
        zconfig_t *status = zspool_device_status (device);
        CHECK (status);
        zconfig_destroy (&status);
    }
    for (int index = 0; index < THREADS; index++)
        CHECK (pthread_join (threads [index], NULL) == 0);
    CHECK (failures == 0);
    zsock_destroy (&producer);
    zspool_device_destroy (&device);
}

//  ------------------------------------------------------------------------------------------------
//  Impostors: who listens is no device

//  Listen where a device would.
static int
s_listen (void)
{
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX,
                                   .sun_path = KIT_STORE "/" ZSPOOL_CONTROL_FILE };
    int fd = socket (AF_UNIX, SOCK_STREAM, 0);
    CHECK (bind (fd, (struct sockaddr *) &address, sizeof address) == 0 && listen (fd, 8) == 0);
    return fd;
}

typedef struct {
    int fd;               //  that listens
    const void *answer;   //  given to the one client; then the connection is closed
    size_t size;
} s_impostor_t;

static void *
s_answer (void *arg)
{
    s_impostor_t *self = (s_impostor_t *) arg;
    char request [256];
    int fd = accept (self->fd, NULL, NULL);
    (void) !read (fd, request, sizeof request);
    (void) !write (fd, self->answer, self->size);
    close (fd);
    return NULL;
}

//  What a control makes of an answer
static void
s_check_answer (int fd, const void *answer, size_t size, int code)
{
    s_impostor_t impostor = { fd, answer, size };
    pthread_t thread;
    CHECK (pthread_create (&thread, NULL, s_answer, &impostor) == 0);
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    zconfig_t *status = NULL;
    CHECK_CODE (zspool_control_status (control, &status), code);
    CHECK (status == NULL && *zspool_control_reason (control));
    zspool_control_destroy (&control);
    CHECK (pthread_join (thread, NULL) == 0);
}

TEST (test_control_answered_by_an_impostor_fails)
{
    int fd = s_listen ();
    s_check_answer (fd, "", 0, ZSPOOL_EIO);
    s_check_answer (fd, "abc", 3, ZSPOOL_EIO);
    s_check_answer (fd, "HTTP/1.0 200 OK\r\n\r\n", 19, ZSPOOL_ECORRUPT);
    s_check_answer (fd, "\4\0\0\0ZC\2\0\0\0\0\0", 12, ZSPOOL_EVERSION);
    s_check_answer (fd, "\4\0\0\1ZC\1\0\0\0\0\0", 12, ZSPOOL_ETOOBIG);
    s_check_answer (fd, "\0\0\0\0ZC\1\0", 8, ZSPOOL_ECORRUPT);
    s_check_answer (fd, "\4\0\0\0ZC\1\0\1\0\0\0", 12, ZSPOOL_ECORRUPT);
    s_check_answer (fd, "\6\0\0\0ZC\1\0\2\0\0\0-7", 14, ZSPOOL_ENOTSTORE);
    s_check_answer (fd, "\6\0\0\0ZC\1\0\2\0\0\0-7", 10, ZSPOOL_EIO);
    close (fd);
}

TEST (test_control_that_is_not_answered_gives_etimedout)
{
    int fd = s_listen ();
    zspool_control_t *control = zspool_control_new (KIT_STORE);
    zspool_control_set_timeout (control, 20);
    zconfig_t *status = NULL;
    for (int round = 0; round < 30; round++) //  more than wait to be accepted
        CHECK_CODE (zspool_control_status (control, &status), ZSPOOL_ETIMEDOUT);
    zspool_control_destroy (&control);
    close (fd);
}

TEST (test_control_without_a_directory_is_refused)
{
    CHECK (zspool_control_new (NULL) == NULL);
    CHECK (zspool_control_new ("") == NULL);
    zspool_control_t *control = zspool_control_new ("missing");
    CHECK_CODE (zspool_control_connect (control), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_control_pause (control), ZSPOOL_ENOENT);
    zspool_control_close (control);
    zspool_control_destroy (&control);
    zspool_control_destroy (&control);
}
