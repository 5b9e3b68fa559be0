//  options.h - options of a device: their names, ranges and defaults
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_OPTIONS_H_INCLUDED
#define ZSPOOL_OPTIONS_H_INCLUDED

#include "zspool_dead.h"
#include "zspool_store.h"

#define ZSPOOL_OPTION_TEXT_MAX 1023 //  longest text of an option, bytes
#define ZSPOOL_CURSOR_OUT "out"     //  cursor of the main outlet
#define ZSPOOL_FEEDS_MAX 60         //  most feeds of a device
#define ZSPOOL_OUTLETS_MAX (1 + ZSPOOL_FEEDS_MAX)
#define ZSPOOL_LABEL_MAX (5 + ZSPOOL_NAME_MAX) //  longest label of an outlet: "out", or "feed/NAME"

typedef enum { ZSPOOL_SYNC, ZSPOOL_ASYNC, ZSPOOL_TRANSACTION } zspool_durability_t;
typedef enum { ZSPOOL_ACK_SETTLED, ZSPOOL_ACK_SENT, ZSPOOL_ACK_EXPLICIT } zspool_ack_policy_t;
typedef enum { ZSPOOL_IN_PULL, ZSPOOL_IN_SUB } zspool_in_type_t;
typedef enum { ZSPOOL_OUT_PUSH, ZSPOOL_OUT_PUB } zspool_out_type_t;

typedef struct {
    char store [ZSPOOL_OPTION_TEXT_MAX + 1];
    char in [ZSPOOL_OPTION_TEXT_MAX + 1];
    char out [ZSPOOL_OPTION_TEXT_MAX + 1];
    char ack_in [ZSPOOL_OPTION_TEXT_MAX + 1]; //  "" unless explicit
    char name [ZSPOOL_OPTION_TEXT_MAX + 1];   //  of the spool
    char start [ZSPOOL_OPTION_TEXT_MAX + 1];  //  where the cursors of feeds begin
    char service [ZSPOOL_OPTION_TEXT_MAX + 1]; //  endpoint of the service; "": there is none
    uint64_t durability;                      //  zspool_durability_t
    uint64_t ack;                             //  zspool_ack_policy_t
    uint64_t commit_interval_ms;
    uint64_t ack_timeout_ms;
    uint64_t max_deliveries;                  //  0: without limit
    uint64_t settle_ms;
    uint64_t pipe_depth_bytes;
    uint64_t hwm;                             //  messages
    uint64_t map_bytes;
    uint64_t bytes_max;                       //  of the spool's blocks; 0: no limit
    uint64_t on_full;                         //  zspool_on_full_t
    uint64_t message_bytes_max;               //  of a message that is taken in
    uint64_t message_frames_max;              //  likewise
    uint64_t in_type;                         //  zspool_in_type_t
    uint64_t out_type;                        //  zspool_out_type_t
    uint64_t hold;                            //  subscriptions that a PUB out waits for at the start
    uint64_t keep_age_ms;                     //  history; ZSPOOL_KEEP_UNLIMITED: no limit
    uint64_t keep_bytes;                      //  likewise
    uint64_t keep_count;                      //  likewise, messages
    uint64_t keep_unacked;                    //  1: what a cursor has not acknowledged stays
    uint64_t service_admin;                   //  1: clients of the service may purge, and delete cursors
} zspool_options_t;

void
    zspool_options_init (zspool_options_t *self);

//  Set one from text. EINVAL: *reason has a line that says what is wrong.
int
    zspool_options_set (zspool_options_t *self, const char *name, const char *value, char *reason,
                        size_t reason_size);

//  Check that what is needed is there and fits together. EINVAL likewise.
int
    zspool_options_check (const zspool_options_t *self, char *reason, size_t reason_size);

#endif
