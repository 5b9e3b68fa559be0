//  consumer_parts.h - the consumer, as its application's side and its actor's side know it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Both hold the pair's mutex while they touch it; what is the actor's alone says so.

#ifndef ZSPOOL_CONSUMER_PARTS_H_INCLUDED
#define ZSPOOL_CONSUMER_PARTS_H_INCLUDED

#include "consumer.h"
#include "deliveries.h"
#include "pair.h"
#include "words.h"

#define ZSPOOL_CONSUMER_SUBSCRIPTION 1  //  our number of it

struct zspool_consumer {
    zspool_pair_t pair;

    //  The application's
    char spool [ZSP_NAME_BYTES_MAX + 1];
    char cursor [ZSP_NAME_BYTES_MAX + 1];
    bool has_names;                //  of both, as they have to be
    char start [ZSP_TEXT_BYTES_MAX + 1];
    bool create;
    bool exclusive;
    uint64_t prefetch_messages;
    uint64_t prefetch_bytes;
    zsp_text_t filters [ZSP_FILTERS_MAX];
    size_t filters_count;

    //  Shared
    bool subscribed;
    bool ever;                     //  it was, once
    bool active;
    uint32_t generation;
    uint64_t session;
    zspool_deliveries_t deliveries;
    zspool_words_t words;          //  to be said
    uint64_t stale;
    bool unsure;                   //  words were noted since the last flush,
    bool unsure_lost;              //  and the connection was lost, which the next one tells
    uint8_t asks;                  //  ZSP_SEEK, ZSP_FLUSH: the application waits for its answer; 0
    uint32_t request;              //  its number: each has another one
    bool asked;                    //  in this session
    int answer;                    //  1: not yet
    char seek [ZSP_TEXT_BYTES_MAX + 1]; //  where to move the cursor
    size_t claims;                 //  that transactions have made, and not given back
    bool ended;                    //  it is destroyed, and there for these alone

    //  The actor's
    uint32_t handle;               //  of the spool, in this session
};

//  Whether so much credit is due that it is to be given.
bool
    zspool_consumer_owes_credit (const zspool_consumer_t *self);

//  The actor
void
    zspool_consumer_actor (zsock_t *pipe, void *args);

#endif
