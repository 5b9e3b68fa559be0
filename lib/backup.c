//  backup.c - copies a store, also one in use
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The database writes itself into a pipe, in a thread, so that the caller's thread can see to the
//  file and be told to stop. The copy then gets an incarnation of its own, is verified, and only
//  then its name.

#include "zspool_backup.h"
#include "fresh.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (1024 * 1024)   //  read from the pipe at a time

typedef struct {
    const char *directory;
    const char *to;
    const zspool_backup_options_t *options;
    char *reason;
    zspool_fresh_t *fresh;
    zspool_store_t *store;       //  the original
    uint64_t bytes;              //  copied
    uint64_t incarnation;        //  of the original
    int findings;                //  when verifying
} s_backup_t;

//  The thread's side
typedef struct {
    zspool_engine_t *engine;
    int fd;                      //  where to write
    bool compact;
    int rc;                      //  what came of it
} s_source_t;

static int
s_fail (s_backup_t *self, const char *name, int code)
{
    snprintf (self->reason, ZSPOOL_BACKUP_REASON_BYTES, "%s: %s", name, zspool_strerror (code));
    return code;
}

static bool
s_goes_on (void *arg)
{
    s_backup_t *self = (s_backup_t *) arg;
    return !self->options->go_on || self->options->go_on (self->options->arg);
}

static void *
s_run_source (void *arg)
{
    s_source_t *source = (s_source_t *) arg;
    source->rc = zspool_engine_copy (source->engine, source->fd, source->compact);
    close (source->fd);
    return NULL;
}

//  Start the thread; it must not be the one whom a closed pipe kills the process for.
static int
s_start_source (s_source_t *source, pthread_t *thread)
{
    sigset_t none, before;
    sigfillset (&none);
    pthread_sigmask (SIG_SETMASK, &none, &before);
    int error = pthread_create (thread, NULL, s_run_source, source);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return error? ZSPOOL_ENOMEM: ZSPOOL_OK;
}

static int
s_write_code (int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG? ZSPOOL_ENOSPC: ZSPOOL_EIO;
}

//  Write a piece behind what was copied; zeros are left to be a hole.
static int
s_write_piece (s_backup_t *self, int fd, const uint8_t *piece, size_t size)
{
    bool zeros = piece [0] == 0 && memcmp (piece, piece + 1, size - 1) == 0;
    for (size_t done = zeros? size: 0; done < size;) {
        ssize_t written = pwrite (fd, piece + done, size - done, (off_t) (self->bytes + done));
        if (written < 0 && errno != EINTR)
            return s_write_code (errno);
        done += written > 0? (size_t) written: 0;
    }
    self->bytes += size;
    return ZSPOOL_OK;
}

//  Copy all that comes out of the pipe.
static int
s_drain (s_backup_t *self, int from, int fd)
{
    uint8_t *piece = (uint8_t *) malloc (PIECE_BYTES);
    int rc = piece? ZSPOOL_OK: ZSPOOL_ENOMEM;
    while (rc == ZSPOOL_OK) {
        ssize_t size = read (from, piece, PIECE_BYTES);
        if (!s_goes_on (self))
            rc = ZSPOOL_ECANCELED;
        else if (size < 0)
            rc = errno == EINTR? ZSPOOL_OK: ZSPOOL_EIO;
        else if (size == 0)
            break;
        else
            rc = s_write_piece (self, fd, piece, (size_t) size);
    }
    free (piece);
    return rc;
}

//  Copy the database into an open file.
static int
s_copy (s_backup_t *self, int fd)
{
    int ends [2];
    if (pipe2 (ends, O_CLOEXEC))
        return s_fail (self, self->directory, ZSPOOL_ESYSTEM);
    (void) fcntl (ends [1], F_SETPIPE_SZ, PIECE_BYTES);
    s_source_t source = { self->store->engine, ends [1], self->options->compact, ZSPOOL_OK };
    pthread_t thread;
    int rc = s_start_source (&source, &thread);
    if (rc) {
        close (ends [0]);
        close (ends [1]);
        return s_fail (self, self->directory, rc);
    }
    rc = s_drain (self, ends [0], fd);
    //  Whatever the thread still writes fails now, and ends it.
    close (ends [0]);
    pthread_join (thread, NULL);
    if (rc)
        return s_fail (self, self->to, rc);
    if (source.rc)
        return s_fail (self, self->directory, source.rc);
    if (ftruncate (fd, (off_t) self->bytes) || fdatasync (fd))
        return s_fail (self, self->to, s_write_code (errno));
    return ZSPOOL_OK;
}

static int
s_copy_to_file (s_backup_t *self)
{
    char *path = NULL;
    if (asprintf (&path, "%s/data.mdb", zspool_fresh_path (self->fresh)) < 0)
        return s_fail (self, self->to, ZSPOOL_ENOMEM);
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = fd >= 0? s_copy (self, fd): s_fail (self, self->to, s_write_code (errno));
    if (fd >= 0)
        close (fd);
    free (path);
    return rc;
}

//  Write the records that make the copy a store of its own.
static int
s_put_identity (s_backup_t *self, zspool_engine_t *engine)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_store_record_t record;
    int rc = zspool_engine_begin (engine, &txn);
    if (rc)
        return rc;
    rc = zspool_engine_table (engine, ZSPOOL_STATE_TABLE, &state);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_get_store (txn, state, &record);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_draw_incarnation (&record.incarnation);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_store (txn, state, &record);
    zspool_origin_record_t origin = { ZSPOOL_ORIGIN_BACKUP, self->incarnation, zspool_now_us () };
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_origin (txn, state, &origin);
    if (rc == ZSPOOL_OK)
        return zspool_engine_commit (engine);
    zspool_engine_abort (engine);
    return rc;
}

static int
s_renew (s_backup_t *self)
{
    zspool_engine_t *engine = NULL;
    int sys_error;
    int rc = zspool_engine_open (&engine, zspool_fresh_path (self->fresh), ZSPOOL_ENGINE_WRITE,
                                 ZSPOOL_MAP_BYTES_MIN, &sys_error);
    if (rc == ZSPOOL_OK)
        rc = s_put_identity (self, engine);
    zspool_engine_close (&engine);
    return rc? s_fail (self, self->to, rc): ZSPOOL_OK;
}

//  Called for each finding: the first one is told.
static void
s_note_finding (void *arg, const char *spool, uint64_t first, uint64_t last, const char *problem)
{
    s_backup_t *self = (s_backup_t *) arg;
    if (self->findings++ > 0)
        return;
    snprintf (self->reason, ZSPOOL_BACKUP_REASON_BYTES, "%s: damaged, spool %s, messages %llu to %llu: %s",
              self->directory, spool, (unsigned long long) first, (unsigned long long) last, problem);
}

static int
s_verify (s_backup_t *self)
{
    zspool_store_t *copy = zspool_store_new (zspool_fresh_path (self->fresh));
    if (!copy)
        return s_fail (self, self->to, ZSPOOL_ENOMEM);
    int rc = zspool_store_open (copy, ZSPOOL_READ);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_verify_while (copy, s_note_finding, s_goes_on, self, NULL);
    if (rc < 0)
        s_fail (self, self->to, rc);
    else if (rc > 0)
        rc = ZSPOOL_ECORRUPT;
    zspool_store_destroy (&copy);
    return rc;
}

static int
s_run (s_backup_t *self)
{
    int rc = zspool_store_open (self->store, ZSPOOL_READ);
    if (rc) {
        snprintf (self->reason, ZSPOOL_BACKUP_REASON_BYTES, "%s", zspool_store_reason (self->store));
        return rc;
    }
    self->incarnation = zspool_store_incarnation (self->store);
    rc = zspool_fresh_new (&self->fresh, self->to, self->reason);
    if (rc == ZSPOOL_OK)
        rc = s_copy_to_file (self);
    if (rc == ZSPOOL_OK)
        rc = s_renew (self);
    if (rc == ZSPOOL_OK && !self->options->no_verify)
        rc = s_verify (self);
    if (rc == ZSPOOL_OK)
        rc = zspool_fresh_publish (self->fresh, self->reason);
    return rc;
}

int
zspool_backup (const char *directory, const char *to, const zspool_backup_options_t *options,
               char reason [ZSPOOL_BACKUP_REASON_BYTES])
{
    static const zspool_backup_options_t usual;
    s_backup_t self = { .directory = directory, .to = to, .options = options? options: &usual,
                        .reason = reason };
    self.store = zspool_store_new (directory);
    if (!self.store || !to || !*to) {
        zspool_store_destroy (&self.store);
        return s_fail (&self, "backup", ZSPOOL_EINVAL);
    }
    int rc = s_run (&self);
    zspool_fresh_destroy (&self.fresh);
    zspool_store_destroy (&self.store);
    return rc;
}
