//  store_directory.c - claims a directory for a store
//
//  SPDX-License-Identifier: MPL-2.0
//
//  LMDB's own locks are lost when a process opens a database twice and closes it once, so a list of
//  the directories this process has open refuses that. Writers of other processes are kept out by
//  flock () on a file of our own, which holds the writer's process number for the one who finds it
//  locked. A child that was forked meanwhile holds that lock too, so it is given up in so many
//  words.

#include "store_directory.h"
#include "store_engine.h"
#include "store_length.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOCK_FILE "zspool.lock"
#define DATA_FILE "data.mdb"
#define CONTROL_FILE "zspool.control" //  socket of the device that runs here, or was killed
//  LMDB's file starts with two pages that look like this
#define LMDB_MAGIC 0xBEEFC0DEU
#define LMDB_MAGIC_OFFSET 16
#define LMDB_PAGE_BYTES_OFFSET 40
#define LMDB_TXN_OFFSET 144           //  number of the transaction that wrote the page; 0: at creation
#define LMDB_HEAD_BYTES 152
#define LMDB_PAGE_BYTES_MIN 512
#define LMDB_PAGE_BYTES_MAX 65536
//  What a database can have grown to when its first commit is cut off
#define TORN_BYTES_MAX (256 * 1024)

struct zspool_claim {
    int directory_fd;      //  the directory
    int lock_fd;           //  locked file, or -1 when reading
    dev_t device;          //  which directory it is, whatever its path
    ino_t inode;
    pid_t pid;             //  who made the claim
    bool has_database;     //  when the claim was made
    bool is_torn;          //  creating the database was cut off: start over
    zspool_claim_t *next;  //  in the list of this process's claims
};

static pthread_mutex_t s_mutex = PTHREAD_MUTEX_INITIALIZER;
static zspool_claim_t *s_claims; //  guarded by s_mutex

bool
zspool_file_system_is_remote (uint64_t type)
{
    static const uint32_t remote [] = {
        0x6969,     0x517B,     0xFF534D42, 0xFE534D42, //  NFS, SMB, CIFS, SMB2
        0x01021997, 0x5346414F, 0x6B414653, 0x00C36400, //  9P, AFS (OpenAFS, kernel's), Ceph
        0x73757245, 0x0BD00BD0, 0x01161970, 0x7461636F, //  Coda, Lustre, GFS2, OCFS2
        0x47504653, 0x19830326, 0xAAD7AAEA, 0x564C,     //  GPFS, BeeGFS, PanFS, NCP
        0x786F4256, 0xBACBACBC,                         //  shared folders of VirtualBox and VMware
    };
    for (size_t index = 0; index < sizeof remote / sizeof remote [0]; index++)
        if ((uint32_t) type == remote [index])
            return true;
    return false;
}

static int
s_fail (char *reason, const char *directory, int code)
{
    snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s", directory, zspool_strerror (code));
    return code;
}

static int
s_fail_errno (char *reason, const char *directory)
{
    int error = errno;
    snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s", directory, strerror (error));
    switch (error) {
    case ENOENT: return ZSPOOL_ENOENT;
    case ENOTDIR: return ZSPOOL_ENOTSTORE;
    case ENAMETOOLONG: return ZSPOOL_EINVAL;
    case ENOMEM: return ZSPOOL_ENOMEM;
    case ENOSPC:
    case EDQUOT: return ZSPOOL_ENOSPC;
    case EACCES:
    case EPERM:
    case EROFS: return ZSPOOL_EACCES;
    default: return ZSPOOL_EIO;
    }
}

//  Open the directory; for writing, create it when it is not there.
static int
s_open_directory (zspool_claim_t *self, const char *directory, zspool_mode_t mode, char *reason)
{
    bool created = false;
    self->directory_fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->directory_fd < 0 && errno == ENOENT && mode == ZSPOOL_WRITE) {
        created = mkdir (directory, 0700) == 0;
        if (!created)
            return s_fail_errno (reason, directory);
        self->directory_fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (self->directory_fd < 0)
        return s_fail_errno (reason, directory);

    struct stat status;
    struct statfs file_system;
    if (fstat (self->directory_fd, &status) || fstatfs (self->directory_fd, &file_system))
        return s_fail_errno (reason, directory);
    if (zspool_file_system_is_remote ((uint64_t) file_system.f_type)) {
        if (created)
            rmdir (directory);
        return s_fail (reason, directory, ZSPOOL_EREMOTE);
    }
    self->device = status.st_dev;
    self->inode = status.st_ino;
    return ZSPOOL_OK;
}

//  A directory that holds no database may become a store only when nothing else is in it.
static int
s_check_empty (zspool_claim_t *self)
{
    int fd = openat (self->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0? NULL: fdopendir (fd);
    if (!dir) {
        if (fd >= 0)
            close (fd);
        return ZSPOOL_EIO;
    }
    static const char *known [] = { ".",       "..",      "lost+found", LOCK_FILE,
                                    DATA_FILE, "lock.mdb", CONTROL_FILE };
    int rc = ZSPOOL_OK;
    struct dirent *entry;
    while ((entry = readdir (dir))) {
        bool found = false;
        for (size_t index = 0; index < sizeof known / sizeof known [0]; index++)
            found = found || strcmp (entry->d_name, known [index]) == 0;
        if (!found)
            rc = ZSPOOL_ENOTSTORE;
    }
    closedir (dir);
    return rc;
}

//  One of LMDB's two first pages
typedef struct {
    bool missing;          //  not in the file, or all zero
    uint32_t page_bytes;
    uint64_t txn;
} s_page_t;

//  Read one of them. ENOTSTORE when it is something else.
static int
s_read_page (int fd, off_t offset, s_page_t *page)
{
    static const uint8_t zero [LMDB_HEAD_BYTES];
    uint8_t head [LMDB_HEAD_BYTES] = { 0 };
    uint32_t magic;
    if (pread (fd, head, sizeof head, offset) < 0)
        return ZSPOOL_EIO;
    memcpy (&magic, head + LMDB_MAGIC_OFFSET, sizeof magic);
    memcpy (&page->page_bytes, head + LMDB_PAGE_BYTES_OFFSET, sizeof page->page_bytes);
    memcpy (&page->txn, head + LMDB_TXN_OFFSET, sizeof page->txn);
    page->missing = memcmp (head, zero, sizeof head) == 0;
    if (page->missing)
        return ZSPOOL_OK;
    return magic == LMDB_MAGIC && page->page_bytes >= LMDB_PAGE_BYTES_MIN
           && page->page_bytes <= LMDB_PAGE_BYTES_MAX? ZSPOOL_OK: ZSPOOL_ENOTSTORE;
}

//  Look at the database's file. LMDB writes both pages at once, and syncs them with its first
//  commit. So when one is missing, and the other does not know of a commit, there never was one.
static int
s_look_at_data (zspool_claim_t *self, int fd)
{
    s_page_t first, second;
    struct stat status;
    if (fstat (fd, &status))
        return ZSPOOL_EIO;
    int rc = s_read_page (fd, 0, &first);
    if (rc == ZSPOOL_OK)
        rc = s_read_page (fd, first.missing? ZSPOOL_PAGE_BYTES: first.page_bytes, &second);
    if (rc)
        return rc;
    self->has_database = !first.missing && !second.missing;
    self->is_torn = !self->has_database && first.txn == 0 && second.txn == 0
                    && status.st_size <= TORN_BYTES_MAX;
    return self->has_database || self->is_torn? ZSPOOL_OK: ZSPOOL_ENOTSTORE;
}

//  Check that the directory holds a database, or for writing nothing at all.
static int
s_check_content (zspool_claim_t *self, const char *directory, zspool_mode_t mode, char *reason)
{
    int fd = openat (self->directory_fd, DATA_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return s_fail_errno (reason, directory);
    int rc = fd < 0? ZSPOOL_OK: s_look_at_data (self, fd);
    if (fd >= 0)
        close (fd);
    if (rc)
        return s_fail (reason, directory, rc);
    if (self->has_database)
        return ZSPOOL_OK;
    if (mode == ZSPOOL_READ) {
        snprintf (reason, ZSPOOL_REASON_MAX, "%s: no store here", directory);
        return ZSPOOL_ENOENT;
    }
    rc = s_check_empty (self);
    return rc? s_fail (reason, directory, rc): ZSPOOL_OK;
}

//  Empty the file of a database whose creation was cut off. Under the lock.
static int
s_remove_torn (zspool_claim_t *self)
{
    int fd = openat (self->directory_fd, DATA_FILE, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return ZSPOOL_EIO;
    //  Another process may have created the store meanwhile.
    self->is_torn = false;
    int rc = s_look_at_data (self, fd);
    if (rc == ZSPOOL_OK && self->is_torn && ftruncate (fd, 0))
        rc = ZSPOOL_EIO;
    close (fd);
    return rc;
}

bool
zspool_claim_has_database (const zspool_claim_t *self)
{
    return self->has_database;
}

int
zspool_claim_check_length (zspool_claim_t *self, const char *directory,
                           char reason [ZSPOOL_REASON_MAX])
{
    int fd = openat (self->directory_fd, DATA_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return s_fail_errno (reason, directory);
    zspool_length_t length = { 0, 0 };
    int rc = zspool_length_check (fd, &length);
    close (fd);
    if (rc == ZSPOOL_ECORRUPT && length.needed_bytes > 0)
        snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s is cut off: it has %llu bytes of %llu",
                  directory, DATA_FILE, (unsigned long long) length.file_bytes,
                  (unsigned long long) length.needed_bytes);
    else if (rc)
        s_fail (reason, directory, rc);
    return rc;
}

int
zspool_claim_lock (zspool_claim_t *self, const char *directory, char reason [ZSPOOL_REASON_MAX])
{
    self->lock_fd = openat (self->directory_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return s_fail_errno (reason, directory);
    char text [32] = "";
    if (flock (self->lock_fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK)
            return s_fail_errno (reason, directory);
        ssize_t size = pread (self->lock_fd, text, sizeof text - 1, 0);
        text [size > 0? strcspn (text, "\n"): 0] = 0;
        snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s (process %s)", directory,
                  zspool_strerror (ZSPOOL_ELOCKED), *text? text: "unknown");
        return ZSPOOL_ELOCKED;
    }
    //  For people only: when it cannot be written, the lock holds all the same.
    int length = snprintf (text, sizeof text, "%ld\n", (long) getpid ());
    if (ftruncate (self->lock_fd, 0) == 0)
        (void) !pwrite (self->lock_fd, text, (size_t) length, 0);
    int rc = self->is_torn? s_remove_torn (self): ZSPOOL_OK;
    return rc? s_fail (reason, directory, rc): ZSPOOL_OK;
}

static bool
s_in_list (const zspool_claim_t *self)
{
    for (const zspool_claim_t *other = s_claims; other; other = other->next)
        if (other->device == self->device && other->inode == self->inode
            && other->pid == self->pid)
            return true;
    return false;
}

static int
s_claim (zspool_claim_t *self, const char *directory, zspool_mode_t mode, char *reason)
{
    int rc = s_open_directory (self, directory, mode, reason);
    if (rc)
        return rc;
    if (s_in_list (self))
        return s_fail (reason, directory, ZSPOOL_EOPEN);
    return s_check_content (self, directory, mode, reason);
}

int
zspool_claim_new (zspool_claim_t **self_p, const char *directory, zspool_mode_t mode,
                  char reason [ZSPOOL_REASON_MAX])
{
    zspool_claim_t *self = (zspool_claim_t *) calloc (1, sizeof *self);
    if (!self)
        return s_fail (reason, directory, ZSPOOL_ENOMEM);
    self->directory_fd = -1;
    self->lock_fd = -1;
    self->pid = getpid ();

    pthread_mutex_lock (&s_mutex);
    int rc = s_claim (self, directory, mode, reason);
    if (rc == ZSPOOL_OK) {
        self->next = s_claims;
        s_claims = self;
    }
    pthread_mutex_unlock (&s_mutex);
    if (rc)
        zspool_claim_destroy (&self);
    else
        *self_p = self;
    return rc;
}

int
zspool_claim_sync (zspool_claim_t *self, bool is_new)
{
    if (fsync (self->directory_fd))
        return ZSPOOL_EIO;
    int rc = 0, fd = openat (self->directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        rc = fsync (fd);
    else if (is_new)
        rc = syncfs (self->directory_fd);
    if (fd >= 0)
        close (fd);
    return rc? ZSPOOL_EIO: ZSPOOL_OK;
}

bool
zspool_claim_is_mine (const zspool_claim_t *self)
{
    return self->pid == getpid ();
}

void
zspool_claim_destroy (zspool_claim_t **self_p)
{
    zspool_claim_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock (&s_mutex);
    for (zspool_claim_t **at = &s_claims; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
            break;
        }
    pthread_mutex_unlock (&s_mutex);
    if (self->lock_fd >= 0 && zspool_claim_is_mine (self))
        flock (self->lock_fd, LOCK_UN);
    if (self->lock_fd >= 0)
        close (self->lock_fd);
    if (self->directory_fd >= 0)
        close (self->directory_fd);
    free (self);
    *self_p = NULL;
}
