//  consumer.h - what a producer does with a consumer of its application
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_ACTORS_CONSUMER_H_INCLUDED
#define ZSPOOL_ACTORS_CONSUMER_H_INCLUDED

#include "zsp.h"
#include "zspool_consumer.h"

//  Take a delivery out of the consumer's hands, for a transaction: *acked says what COMMIT has to
//  say of it. ESTALE: it does not hold it; ENOMEM.
int
    zspool_consumer_claim (zspool_consumer_t *self, uint64_t sequence, zsp_acked_t *acked);

//  A claim ends: the delivery is not given back; or it is, if the consumer is still in the session
//  in which it got it. The application may have destroyed it meanwhile: the last claim frees it.
void
    zspool_consumer_release (zspool_consumer_t *self);
void
    zspool_consumer_unclaim (zspool_consumer_t *self, const zsp_acked_t *acked);

#endif
