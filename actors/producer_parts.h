//  producer_parts.h - the producer, as its application's side and its actor's side know it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Both hold the pair's mutex while they touch it; what is the actor's alone says so.

#ifndef ZSPOOL_PRODUCER_PARTS_H_INCLUDED
#define ZSPOOL_PRODUCER_PARTS_H_INCLUDED

#include "pair.h"
#include "staging.h"
#include "window.h"
#include "zspool_producer.h"

#include <stdatomic.h>

//  Spools that one may put into: as many as a session may open, but for some
#define ZSPOOL_PRODUCER_SPOOLS_MAX 60
//  Bundles that are sent, not confirmed, before one that is not full has to wait
#define ZSPOOL_PRODUCER_SENT_MAX 2

//  A spool that was put into
typedef struct {
    char name [ZSP_NAME_BYTES_MAX + 1];
    uint32_t handle;               //  in this session; 0: not open yet
    bool asked;                    //  in this session
} zspool_producer_spool_t;

struct zspool_producer {
    zspool_pair_t pair;

    //  The application's
    char name [ZSP_NAME_BYTES_MAX + 1];
    char spool [ZSP_NAME_BYTES_MAX + 1];
    bool create;
    uint64_t window_messages;
    uint64_t window_bytes;
    uint64_t linger_ms;
    uint8_t level;
    uint64_t seen;                 //  confirmed when events () was called last

    //  Shared
    bool ready;                    //  the first session is up: numbers are known
    uint32_t epoch;
    zspool_producer_spool_t *spools;
    size_t spools_count;
    zspool_window_t window;
    zspool_staging_t txn;          //  while it is under way nothing else is sent
    bool wants_any;                //  the actor would send what is being filled,
    bool wants_full;               //  or at least a bundle that is full
    bool flushing;                 //  the application waits for all: send what is being filled
    atomic_uint_fast64_t confirmed; //  as the window has them, for any thread
    atomic_uint_fast64_t committed;
    atomic_uint_fast64_t taken;    //  what the service has, as far as it has said

    //  The actor's
    bool producing;                //  in this session
    bool held;                     //  the service has no room
    uint64_t base;                 //  without a name: numbers of this session begin behind it
    uint32_t window_service;       //  bytes that may be under way, as the service has said
};

//  The actor
void
    zspool_producer_actor (zsock_t *pipe, void *args);

#endif
