//  zspool_salvage.h - saves what a damaged store still holds
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SALVAGE_H_INCLUDED
#define ZSPOOL_SALVAGE_H_INCLUDED

#include "zspool_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_SALVAGE_REASON_BYTES 512 //  room for the line that explains a failure

//  What was saved, and lost, of one spool; the strings are valid during the call that gives them
typedef struct {
    const char *name;          //  in the new store
    bool is_named_anew;        //  its name could not be read
    uint64_t messages;         //  saved
    uint64_t blocks;           //  saved
    uint64_t bytes;            //  of these blocks
    uint64_t beside;           //  of the messages: in blocks found apart from any index
    uint64_t lost;             //  messages known to be lost
    uint64_t cursors;          //  saved
    uint64_t cursors_lost;     //  that could not be read
} zspool_salvage_spool_t;

//  The same of the whole store
typedef struct {
    bool complete;             //  nothing is known to be lost
    bool searched;             //  something was damaged or missing: all pages were searched
    bool records_lost;         //  small records were damaged: what they said of acknowledgements is repeated
    uint64_t spools;
    uint64_t messages;
    uint64_t lost;             //  messages
    uint64_t unplaced;         //  messages in whole blocks that fit in nowhere: not saved
    uint64_t producers;        //  saved
    uint64_t producers_lost;   //  could not be read: what they send again is stored again
    uint64_t tables;           //  of an application: saved, whole or in part
    uint64_t tables_damaged;   //  of which something is lost, or all, or the name
} zspool_salvage_result_t;

//  Called for each run of messages that is lost, and behind them once for each spool
typedef void (zspool_salvage_lost_fn) (void *arg, const char *spool, uint64_t first, uint64_t last);
typedef void (zspool_salvage_spool_fn) (void *arg, const zspool_salvage_spool_t *spool);

//  Whom to tell; zeroed: nobody
typedef struct {
    zspool_salvage_lost_fn *lost;
    zspool_salvage_spool_fn *spool;
    bool (*go_on) (void *arg);  //  asked often: false ends it with ECANCELED
    void *arg;                  //  for all of them
} zspool_salvage_options_t;

//  Save what the store in `directory` still holds into a new store in the new directory `to`: every
//  block whose bytes are whole, with its sequences and times; spools, cursors and gaps; producers; and
//  what can be read of tables of an application, which have no checksums: look at these. Reads the
//  file alone, without its database, so that nothing in it can harm the caller; changes nothing
//  there. Cursors that cannot be read start at the first message again. The new store has an
//  incarnation of its own. Errors, with a line in *reason, and then `to` is as it was: ENOENT,
//  ENOTSTORE (nothing of a store is there), ELOCKED (a process writes it), EVERSION, EEXIST (`to`
//  is there and not empty), EACCES, ENOSPC, EIO, ENOMEM, ECANCELED. Any thread. Durable when it
//  returns 0; *result tells whether all was saved.
ZSPOOL_EXPORT int
    zspool_salvage (const char *directory, const char *to, const zspool_salvage_options_t *options,
                    zspool_salvage_result_t *result, char reason [ZSPOOL_SALVAGE_REASON_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
