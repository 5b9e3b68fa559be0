//  session.h - the clients of a service: who they are, what they have opened, and whether they are
//  still there
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. A session is one connection to the ROUTER from its HELLO on.
//  It ends with BYE, with an error that says so, when it is silent for too long, or when its
//  connection is lost.

#ifndef ZSPOOL_SESSION_H_INCLUDED
#define ZSPOOL_SESSION_H_INCLUDED

#include "group.h"
#include "pin.h"
#include "zsp.h"

#define ZSPOOL_SESSIONS_MAX 20000
#define ZSPOOL_SESSION_SPOOLS_MAX 64        //  spools that one may open
#define ZSPOOL_SESSION_SUBSCRIPTIONS_MAX 64
#define ZSPOOL_SESSION_JOBS_MAX 64          //  requests that the writer has, not answered
#define ZSPOOL_SESSION_PINNED_MAX (2 * 1024 * 1024) //  bytes of blocks that ZeroMQ still has to send to one
//  And to all; half of it is for those that have nothing else
#define ZSPOOL_SERVICE_PINNED_MAX (64 * 1024 * 1024)

#define ZSPOOL_ROUTING_BYTES_MAX 255                  //  by which the ROUTER knows a client: ZMTP's limit
#define ZSPOOL_SESSION_OWED_MAX (1024 * 1024)         //  bytes of answers that one did not take
#define ZSPOOL_SERVICE_OWED_MAX (64 * 1024 * 1024)    //  and all

struct zspool_line;

//  An answer that ZeroMQ did not take yet, since its client does not read
typedef struct zspool_owed {
    zmq_msg_t command;
    struct zspool_owed *next;
} zspool_owed_t;

//  What a client waits for: that all it has done before is durable
typedef struct zspool_flush {
    uint32_t request;
    uint8_t about;             //  command
    uint64_t number;           //  all its producer's messages up to this number are to be durable
    bool handed;               //  changes of its cursors were handed in, and a job behind them
    bool job_done;             //  which was done
    struct zspool_flush *next;
} zspool_flush_t;

typedef struct zspool_session zspool_session_t;
struct zspool_session {
    uint64_t id;               //  random: other sessions of the same application name it
    uint8_t routing [ZSPOOL_ROUTING_BYTES_MAX];
    size_t routing_size;
    int fd;                    //  of its connection; -1: not known
    int64_t expiry_ms;         //  gone when it is silent for so long
    int64_t heard_ms;          //  when it was heard last
    uint32_t spools [ZSPOOL_SESSION_SPOOLS_MAX];
    size_t spools_count;
    bool produces;             //  it has asked to
    struct zspool_line *line;  //  as this one; NULL: not yet
    zspool_subscription_t *subscriptions;
    size_t subscriptions_count;
    size_t jobs;               //  under way for it
    bool parked;               //  its transaction waits for others
    bool has_left;             //  groups that may still have to store what it acknowledged
    zspool_flush_t *flushes;   //  in the order they were asked for
    zspool_pins_t *pins;       //  blocks that ZeroMQ still has to send to it
    zspool_owed_t *owed;       //  what it is to get before all else
    zspool_owed_t **owed_end;
    size_t owed_bytes;
    size_t *owed_total;        //  of all sessions
    bool deaf;                 //  it did not take too much of that
    zspool_session_t *next_by_id;
    zspool_session_t *next_by_routing;
};

typedef struct zspool_sessions zspool_sessions_t;

zspool_sessions_t *
    zspool_sessions_new (void);
void
    zspool_sessions_destroy (zspool_sessions_t **self_p);

//  A new session for who is known to the ROUTER by this routing id. NULL: there are too many, or
//  memory or random numbers are out.
zspool_session_t *
    zspool_sessions_add (zspool_sessions_t *self, const void *routing, size_t routing_size, int fd);

//  End one: what belongs to it has been taken care of.
void
    zspool_sessions_remove (zspool_sessions_t *self, zspool_session_t *session);

zspool_session_t *
    zspool_sessions_by_routing (const zspool_sessions_t *self, const void *routing, size_t routing_size);
zspool_session_t *
    zspool_sessions_by_id (const zspool_sessions_t *self, uint64_t id);
zspool_session_t *
    zspool_sessions_by_fd (const zspool_sessions_t *self, int fd);

size_t
    zspool_sessions_count (const zspool_sessions_t *self);

//  One that has been silent for too long, or is deaf; NULL: there is none. *due_ms: when to ask again.
zspool_session_t *
    zspool_sessions_expired (zspool_sessions_t *self, int64_t now_ms, int64_t *due_ms);

//  Bytes that clients are owed
size_t
    zspool_sessions_owed (const zspool_sessions_t *self);

//  One after the other, in no order: begin with NULL. Another may be removed only when it is the one
//  given last.
zspool_session_t *
    zspool_sessions_next (const zspool_sessions_t *self, zspool_session_t *session);

//  Whether the client has opened that spool.
bool
    zspool_session_has_spool (const zspool_session_t *self, uint32_t spool);
//  A subscription, by the number that the client gave it, or by its id
zspool_subscription_t *
    zspool_session_subscription (const zspool_session_t *self, uint32_t number);
zspool_subscription_t *
    zspool_session_subscription_by_id (const zspool_session_t *self, uint64_t id);

#endif
