//  staging.h - the transaction of a producer: what is kept of it until it is committed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Pure memory: its owner holds a mutex. The deliveries that it acknowledges are out of the hands
//  of their consumers, until the transaction is forgotten.

#ifndef ZSPOOL_STAGING_H_INCLUDED
#define ZSPOOL_STAGING_H_INCLUDED

#include "bundle.h"
#include "consumer.h"

//  none -> open -> committing (to be sent) <-> sent -> ended (answered) -> none
typedef enum {
    ZSPOOL_TXN_NONE,
    ZSPOOL_TXN_OPEN,
    ZSPOOL_TXN_COMMITTING,
    ZSPOOL_TXN_SENT,
    ZSPOOL_TXN_ENDED
} zspool_txn_state_t;

//  Deliveries of a consumer with consecutive sequences
typedef struct {
    zspool_consumer_t *consumer;
    zsp_acked_t acked;
} zspool_staged_ack_t;

typedef struct {
    zspool_txn_state_t state;
    zspool_bundle_t *bundles;  //  in the order they were begun
    zspool_bundle_t **bundles_end;
    size_t bundles_count;
    uint64_t bytes;            //  of records
    zspool_staged_ack_t *acks;
    size_t acks_count;
    size_t acks_max;
    uint64_t number;           //  committing and on: its number
    int rc;                    //  ended: how
} zspool_staging_t;

void
    zspool_staging_init (zspool_staging_t *self);
//  Deliveries are not given back.
void
    zspool_staging_end (zspool_staging_t *self);

bool
    zspool_staging_is_empty (const zspool_staging_t *self);

//  Keep a message, whose record has so many bytes. ELIMIT, ENOMEM.
int
    zspool_staging_put (zspool_staging_t *self, zspool_block_pool_t *pool, size_t spool,
                        const zspool_frame_t *frames, size_t count, size_t record_bytes);

//  Take a delivery out of a consumer's hands. ESTALE: it does not hold that; ELIMIT, ENOMEM.
int
    zspool_staging_ack (zspool_staging_t *self, zspool_consumer_t *consumer, uint64_t sequence);

//  Forget it all; `give_back`: its deliveries are the consumers' again.
void
    zspool_staging_forget (zspool_staging_t *self, bool give_back);

#endif
