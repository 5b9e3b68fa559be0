//  zspool_dead.h - dead letters: messages that were delivered too often and never acknowledged
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A device with `max-deliveries` moves such a message from its spool NAME to the spool NAME.dead
//  of the same store, in one commit: at any time, whatever crashes, it is in exactly one of them.
//  With it goes its history, which it keeps when it is put back and dies again.
//
//  A zspool_dead looks at the dead letters of one spool, oldest first, and puts them back (requeue)
//  or gives them up (drop). For that the store must be open for writing, which it cannot be while a
//  device runs on it: then ask the device, with zspool_control_requeue () and zspool_control_drop
//  ().
//
//  It belongs to the store's thread; destroy it before the store.

#ifndef ZSPOOL_DEAD_H_INCLUDED
#define ZSPOOL_DEAD_H_INCLUDED

#include "zspool_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_DEAD_SUFFIX ".dead"   //  NAME.dead holds the dead letters of NAME
#define ZSPOOL_DELIVERIES_MAX 32767  //  largest `max-deliveries`: counting ends there
#define ZSPOOL_WHY_MAX 127           //  longest text that a consumer may give for rejecting a message, bytes
#define ZSPOOL_DEATHS_MAX 16         //  most deaths that a message's history keeps: the latest

typedef struct zspool_dead zspool_dead_t;

//  Why a message died
typedef enum {
    ZSPOOL_DEATH_DELIVERIES = 1,     //  delivered `max-deliveries` times, and not acknowledged in time
    ZSPOOL_DEATH_REJECTED = 2        //  a consumer has said so
} zspool_death_reason_t;

//  One death. Times are microseconds since 1970, UTC.
typedef struct {
    uint64_t sequence;               //  in its spool
    int64_t stored_us;               //  when it was stored there
    int64_t delivered_us;            //  when it was last delivered, at the latest; 0: not known
    int64_t died_us;                 //  when it was moved
    uint32_t deliveries;             //  at least so many
    uint32_t reason;                 //  a zspool_death_reason_t, or one of a newer version
} zspool_death_t;

//  What a message has behind it
typedef struct {
    char origin [ZSPOOL_NAME_MAX + 1]; //  spool where it died last, and where it goes when it is put back
    uint64_t deaths_ever;              //  how often it has died
    size_t deaths_count;               //  of these, kept:
    zspool_death_t deaths [ZSPOOL_DEATHS_MAX]; //  oldest first
    char why [ZSPOOL_WHY_MAX + 1];     //  of the last one, what the consumer said who rejected it; or ""
} zspool_history_t;

//  A dead letter. The record's pointers lead into a block that is valid until the next call.
typedef struct {
    uint64_t sequence;               //  in the spool of dead letters: what it is chosen by
    zspool_history_t history;
    zspool_record_t record;          //  its frames: zspool_record_next_frame ()
} zspool_letter_t;

//  Read the history of a message, wherever it is stored. ENOENT: it never died; ECORRUPT.
//  Thread-safe.
ZSPOOL_EXPORT int
    zspool_history_read (zspool_history_t *self, const zspool_record_t *record);

//  Look at the dead letters of the spool `name`, standing before the oldest. NULL when there are
//  none (no spool NAME.dead), the store is not open, or memory is out; zspool_store_reason () says
//  which.
ZSPOOL_EXPORT zspool_dead_t *
    zspool_dead_new (zspool_store_t *store, const char *name);

//  Free it and set *self_p to NULL. NULL-safe.
ZSPOOL_EXPORT void
    zspool_dead_destroy (zspool_dead_t **self_p);

//  Give the next letter that was neither put back nor dropped, as of the last zspool_dead_new () or
//  zspool_dead_seek (). ENOENT: there is none behind it; ECORRUPT: letters were passed over that
//  are damaged (zspool_store_verify () tells which), go on; ENOMEM, EIO.
ZSPOOL_EXPORT int
    zspool_dead_next (zspool_dead_t *self, zspool_letter_t *letter);

//  Stand before the letter with this sequence, or the next one there is. ENOMEM, EIO.
ZSPOOL_EXPORT int
    zspool_dead_seek (zspool_dead_t *self, uint64_t sequence);

//  Put letters with the sequences first..last back to the end of the spool where they died, with
//  their history; or give them up. Letters among these that are gone already are passed over;
//  *count, if not NULL, is how many there were. Done in commits of at most a thousand letters: each
//  letter is durably in the one spool or the other, also when this fails half-way. Outside of a
//  transaction only. ENOENT: there is none; EREADONLY, EINVAL (a transaction is open), ENOSPC,
//  ELIMIT (the spool's limit), ECORRUPT (a letter is damaged: the others have been done), EFAILED,
//  ENOMEM, EIO.
ZSPOOL_EXPORT int
    zspool_dead_requeue (zspool_dead_t *self, uint64_t first, uint64_t last, uint64_t *count);
ZSPOOL_EXPORT int
    zspool_dead_drop (zspool_dead_t *self, uint64_t first, uint64_t last, uint64_t *count);

#ifdef __cplusplus
}
#endif

#endif
