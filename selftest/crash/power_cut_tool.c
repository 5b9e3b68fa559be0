//  power_cut_tool.c - zspool_selftest --power-cut: disks after a cut, for scripts
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/power_cut_tool.h"
#include "crash/disk.h"
#include "crash/fault.h"

#define CUT "cut"                      //  directory of the disks made
#define MARK "message "                //  what a script's messages start with: then eight digits
#define MARK_BYTES 16                  //  of both
#define MESSAGES_MAX 1000000
#define SOCKETS_MAX 64

//  ---- which messages were forwarded, and when

typedef struct {
    uint64_t number;                   //  of its inode
    uint8_t tail [MARK_BYTES];         //  the last bytes sent
    size_t tail_bytes;
} s_socket_t;

typedef struct {
    uint64_t
        sent_at [MESSAGES_MAX]; //  position of the call that sent it first; 0: none did
    uint64_t messages;                 //  that were sent
    s_socket_t sockets [SOCKETS_MAX];
    size_t sockets_count;
    bool present [MESSAGES_MAX];       //  on the disk at hand
} self_t;

static s_socket_t *
s_socket (self_t *self, uint64_t number)
{
    for (size_t index = 0; index < self->sockets_count; index++)
        if (self->sockets [index].number == number)
            return &self->sockets [index];
    CHECK (self->sockets_count < SOCKETS_MAX);
    s_socket_t *added = &self->sockets [self->sockets_count++];
    added->number = number;
    return added;
}

//  The number of a message that starts here, or MESSAGES_MAX
static uint64_t
s_parse (const uint8_t *bytes)
{
    char digits [9] = "", *end;
    if (memcmp (bytes, MARK, strlen (MARK)) != 0)
        return MESSAGES_MAX;
    memcpy (digits, bytes + strlen (MARK), 8);
    uint64_t number = strtoull (digits, &end, 10);
    return *end || number > MESSAGES_MAX? MESSAGES_MAX: number;
}

//  Find the messages in what a call sent, and in what was sent just before.
static void
s_note_sent (self_t *self, const record_t *record, uint64_t position)
{
    s_socket_t *sender = s_socket (self, record->file);
    size_t sent = record->result > 0? (size_t) record->result: record->done? 0: record->data_bytes;
    size_t size = sender->tail_bytes + sent;
    uint8_t *bytes = (uint8_t *) zmalloc (size + 1);
    memcpy (bytes, sender->tail, sender->tail_bytes);
    memcpy (bytes + sender->tail_bytes, record_data (record), sent);
    for (size_t at = 0; at + MARK_BYTES <= size; at++) {
        uint64_t number = s_parse (bytes + at);
        if (number < MESSAGES_MAX && !self->sent_at [number]) {
            self->sent_at [number] = position;
            self->messages++;
        }
    }
    sender->tail_bytes = size < MARK_BYTES - 1? size: MARK_BYTES - 1;
    memcpy (sender->tail, bytes + size - sender->tail_bytes, sender->tail_bytes);
    free (bytes);
}

static void
s_find_sent (self_t *self, const recording_t *recording)
{
    uint64_t at = 0;
    const record_t *record;
    while ((record = recording_at (recording, at)) != NULL) {
        at = recording_position (recording, record);
        if (record->kind == RECORD_SEND)
            s_note_sent (self, record, at);
        at += record->bytes;
    }
}

//  ---- which are stored

static void
s_read_block (self_t *self, const zspool_block_t *block)
{
    zspool_record_t record;
    zspool_frame_t frame;
    zspool_block_rewind (block, &record);
    while (zspool_block_next (block, &record)) {
        CHECK (zspool_record_next_frame (&record, &frame) && frame.size >= MARK_BYTES);
        uint64_t number = s_parse ((const uint8_t *) frame.data);
        CHECK (number < MESSAGES_MAX);
        self->present [number] = true;
    }
}

static void
s_read (self_t *self, zspool_store_t *store)
{
    memset (self->present, 0, sizeof self->present);
    uint32_t spool;
    if (zspool_store_spool (store, "main", &spool))
        return;
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    zspool_block_t *block = NULL;
    int rc;
    CHECK (reader);
    while ((rc = zspool_reader_next (reader, &block)) == ZSPOOL_OK) {
        s_read_block (self, block);
        zspool_block_destroy (&block);
    }
    CHECK_CODE (rc, ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
}

//  All that was forwarded before the cut must be on the disk.
static void
s_check_disk (self_t *self, uint64_t position, bool made)
{
    zspool_store_t *store = made? kit_open (CUT, ZSPOOL_WRITE): NULL;
    if (store) {
        kit_check_sound (store);
        s_read (self, store);
    }
    else
        memset (self->present, 0, sizeof self->present);
    for (uint64_t number = 0; number < MESSAGES_MAX; number++)
        if (self->sent_at [number] && self->sent_at [number] < position && !self->present [number])
            selftest_fail (__FILE__, __LINE__,
                           "message %" PRIu64 " was forwarded and is not on the disk", number);
    zspool_store_destroy (&store);
}

static int
s_forwarded (const recording_t *recording, const char *root, uint64_t seed, unsigned disks)
{
    static self_t self;
    size_t count, made = 0;
    disk_cut_t *cuts = disk_cuts (recording, &count);
    fault_skip_syncs ();
    s_find_sent (&self, recording);
    for (size_t index = 0; index < count; index++)
        for (unsigned turn = 0; turn < disks; turn++, made++) {
            kit_chance_t chance = seed + made;
            disk_remove (CUT);
            printf ("disk %zu: ", made);
            disk_print_cut (recording, &cuts [index]);
            uint64_t position = cuts [index].position;
            s_check_disk (&self, position, disk_make (recording, position, root, CUT, &chance));
        }
    printf ("%zu cuts, %zu disks, %" PRIu64 " messages forwarded\n", count, made, self.messages);
    disk_remove (CUT);
    free (cuts);
    return 0;
}

int
power_cut_main (int argc, char **argv)
{
    bool is_make = argc == 5 && streq (argv [0], "make");
    bool is_forwarded = argc == 5 && streq (argv [0], "forwarded");
    recording_t *recording = is_make || is_forwarded? recording_open (argv [1], false): NULL;
    if (!recording) {
        fprintf (
            stderr,
            "--power-cut make RECORDING STORE NEW SEED: the disk as it may be after the recording\n"
            "--power-cut forwarded RECORDING STORE SEED DISKS: so many disks at each cut; all "
            "that was sent is there\n");
        return 2;
    }
    if (is_forwarded)
        return s_forwarded (recording, argv [2], strtoull (argv [3], NULL, 10),
                            (unsigned) strtoul (argv [4], NULL, 10));
    kit_chance_t chance = strtoull (argv [4], NULL, 10);
    disk_make (recording, UINT64_MAX, argv [2], argv [3], &chance);
    return 0;
}
