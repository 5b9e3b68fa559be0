//  client.h - what a producer and a consumer share: a session with a service, kept up over lost
//  connections
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Lives in the actor behind the object, on its thread. After a loss a new socket is made: what was
//  left in the old one is never sent.
//
//  States: down (until retry_ms); greeting (HELLO was sent); up (WELCOME has come).

#ifndef ZSPOOL_CLIENT_H_INCLUDED
#define ZSPOOL_CLIENT_H_INCLUDED

#include "zsp.h"
#include <czmq.h>

#define ZSPOOL_CLIENT_FRAMES_MAX (1 + ZSP_SLICES_MAX) //  of a message

typedef enum { ZSPOOL_CLIENT_DOWN, ZSPOOL_CLIENT_GREETING, ZSPOOL_CLIENT_UP } zspool_client_state_t;

typedef struct {
    char endpoint [1024];
    uint32_t heartbeat_ms;
    zspool_client_state_t state;
    void *socket;              //  DEALER, or NULL
    void *monitor;
    int fd;                    //  of its connection; -1: not known
    uint64_t moved;            //  bytes that it had taken when we looked last
    int64_t heard_ms;
    int64_t spoke_ms;
    int64_t pinged_ms;
    int64_t retry_ms;          //  down: when to try again
    int64_t backoff_ms;
    uint64_t session;          //  up: as WELCOME had it, like all that follows
    uint32_t expiry_ms;
    uint32_t message_bytes_max;
    uint32_t message_frames_max;
    uint32_t transaction_bytes_max;
    uint8_t durability;
    char spool [ZSP_NAME_BYTES_MAX + 1];
    zsp_t command;             //  received last
    zmq_msg_t frames [ZSPOOL_CLIENT_FRAMES_MAX];
    size_t frames_count;       //  with the command's; 0: there is none
} zspool_client_t;

void
    zspool_client_init (zspool_client_t *self, const char *endpoint, uint32_t heartbeat_ms);
//  `bye`: say so.
void
    zspool_client_end (zspool_client_t *self, bool bye);

//  Parse the number that an option has, with suffix K, M or G. EINVAL: *reason has a line.
int
    zspool_client_parse (const char *option, const char *value, uint64_t min, uint64_t max,
                         uint64_t *number, char *reason, size_t reason_size);

//  Whether an endpoint can be used at all.
bool
    zspool_client_is_endpoint (const char *endpoint);

//  Whether this is a name for a spool, a cursor or a producer.
bool
    zspool_client_is_name (const char *name);

//  Send a command, with frames behind it, which are taken. EBUSY: not now, and the frames stay;
//  ELOST: there is no connection.
int
    zspool_client_send (zspool_client_t *self, const zsp_t *command, const zsp_lists_t *lists,
                        zmq_msg_t *frames, size_t frames_count);

//  Take the next message in: self->command, and self->frames [1] and on. ENOENT: there is none;
//  ELOST: it made no sense, or EVERSION, it never will: the session is down now. A WELCOME was
//  looked at already: then it is up.
int
    zspool_client_receive (zspool_client_t *self, int64_t now_ms);

//  Do what is due: connect, greet, send heartbeats. Gives when it is to be called again. *lost: the
//  session was up, and was lost just now.
int64_t
    zspool_client_work (zspool_client_t *self, int64_t now_ms, bool *lost);

//  Give the session up, to begin a new one.
void
    zspool_client_drop (zspool_client_t *self, int64_t now_ms);

#endif
