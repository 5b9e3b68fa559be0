//  service_parts.h - the state of a service, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  service.c has the actor, and reads and dispatches commands; each other file carries out those of one
//  kind. All run on the service's thread. What a handler refuses it has told the client.

#ifndef ZSPOOL_SERVICE_PARTS_H_INCLUDED
#define ZSPOOL_SERVICE_PARTS_H_INCLUDED

#include "awake.h"
#include "catalog.h"
#include "intake.h"
#include "post.h"
#include "seek.h"
#include "service.h"

//  A message of a client that is being looked at
typedef struct {
    zspool_session_t *session; //  NULL: a stranger
    uint8_t routing [ZSPOOL_ROUTING_BYTES_MAX];
    size_t routing_size;
    int fd;
    zsp_t command;
    zmq_msg_t frames [1 + ZSP_PARTS_MAX]; //  the command's, and those of records
    size_t frames_count;
    bool too_many;             //  there were more
    size_t bytes;
} zspool_service_message_t;

typedef struct zspool_parked zspool_parked_t; //  service_producers.c

typedef struct zspool_service zspool_service_t;
struct zspool_service {
    zsock_t *pipe;
    zsock_t *writer;
    zsock_t *router;           //  NULL before START
    void *socket;              //  likewise
    void *monitor;
    zspool_options_t options;
    zlist_t *allowed;          //  names of spools, or NULL: all
    uint32_t spool;            //  the device's own
    uint64_t incarnation;
    bool indexed;              //  blocks tell the topics of their messages
    bool terminated;
    bool failed;
    bool stopping;
    bool stopped;
    uint64_t stop_number;      //  request
    int64_t stop_by_ms;
    bool stop_synced;          //  a job behind all changes was done
    bool stop_job;             //  it was handed in
    zspool_sessions_t *sessions;
    zspool_intake_t *intake;
    zspool_catalog_t *catalog;
    zspool_parked_t *parked;   //  transactions that wait for others
    size_t parked_bytes;
    bool unpark;               //  what is parked is worth a try
    bool flush_all;            //  hand over what is being filled, now
    size_t flushes;            //  clients that wait
    uint64_t subscriptions_ever;
    uint64_t *cut;             //  sessions whose connection has ended
    size_t cut_count;
    size_t cut_room;
    uint64_t lost;             //  sessions ended by silence or a lost connection
    uint64_t errors;           //  commands refused
    int64_t change_ms;
    zspool_awake_t awake;          //  clock of all the above
    bool fatal;                //  a command was refused so that its session must end
    zspool_service_message_t message;       //  being read
};

//  service_clients.c: sessions come and go; answers; waiting for what is durable

//  Refuse a command. EPROTOCOL, EVERSION and EFENCED are fatal: they end the session, which the caller
//  of the handler sees to. text: NULL for that of the code.
void
    zspool_service_refuse (zspool_service_t *self, const zspool_service_message_t *message, int code, uint64_t number,
                           const char *text);
void
    zspool_service_done (zspool_service_t *self, zspool_session_t *session, uint32_t request, uint64_t number);
//  End a session: what its consumers hold is due again at once.
void
    zspool_service_end_session (zspool_service_t *self, zspool_session_t *session);
void
    zspool_service_handle_monitor (zspool_service_t *self);
//  End those that are silent, or whose connection has ended. Gives when to look again.
int64_t
    zspool_service_end_lost (zspool_service_t *self);
//  Answer those who wait for what is durable by now.
void
    zspool_service_serve_flushes (zspool_service_t *self);

//  service_spools.c: opening spools; asking and administering

//  The client has a spool open now.
void
    zspool_service_opened (zspool_service_t *self, zspool_session_t *session, uint32_t request, uint32_t spool,
                           uint64_t last_sequence);
void
    zspool_service_listed (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job);
//  Names and values of the service, as STATUS has them: added to a reply.
void
    zspool_service_add_status (zspool_service_t *self, zmsg_t *reply);

//  service_producers.c: what is put, and transactions

void
    zspool_service_produced (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job);
//  Try again the transactions that wait: those that still must stay in their order.
void
    zspool_service_serve_parked (zspool_service_t *self);
//  Forget those of a session; 0: all.
void
    zspool_service_unpark (zspool_service_t *self, uint64_t session);

//  service_consumers.c: subscriptions, and what is delivered to them

//  The cursor is there: the consumer joins its group.
void
    zspool_service_subscribed (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job);
//  Send SUBSCRIBED: as the answer to a request, or unasked.
void
    zspool_service_tell_subscribed (const zspool_service_t *self, const zspool_subscription_t *to, uint32_t request,
                                    uint32_t generation, uint64_t floor);
void
    zspool_service_unsubscribe (zspool_service_t *self, zspool_session_t *session, zspool_subscription_t *subscription);
//  What a group calls, with the service: zspool_group_ops_t
int
    zspool_service_deliver (void *arg, zspool_subscription_t *to, uint32_t generation, zspool_block_t *block,
                            const zspool_piece_t *pieces, size_t pieces_count);
void
    zspool_service_tell (void *arg, zspool_subscription_t *to, uint32_t generation, uint64_t floor);
//  A cursor was deleted: its consumers, if there are any, have none any more.
void
    zspool_service_cursor_deleted (zspool_service_t *self, uint32_t spool, uint32_t cursor);
//  A cursor was moved, or deleted, by other means; *seek is freed.
void
    zspool_service_sought (zspool_service_t *self, zspool_seek_t *seek);

//  service_writer.c: what the writer is to do, and what it says

//  Begin a job for a message's client. NULL: it was refused.
zspool_store_job_t *
    zspool_service_new_job (zspool_service_t *self, const zspool_service_message_t *message, zspool_job_kind_t kind);
//  Hand it over. session: NULL for one of the service's own.
void
    zspool_service_hand_job (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job);
void
    zspool_service_handle_writer (zspool_service_t *self);

//  Handlers of commands
void
    zspool_service_do_hello (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_ping (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_bye (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_flush (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_open (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_status (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_list (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_purge (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_delete_cursor (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_produce (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_put (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_commit (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_subscribe (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_credit (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_ranges (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_seek (zspool_service_t *self, zspool_service_message_t *message);
void
    zspool_service_do_unsubscribe (zspool_service_t *self, zspool_service_message_t *message);

#endif
