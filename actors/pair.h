//  pair.h - a client object: the application's thread, and the actor behind it that has the session
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What a producer and a consumer have in common. Both sides hold `mutex` while they touch what
//  they share, for no longer than it takes to copy a message: when it is free, as nearly always,
//  that costs some 20 ns. They wake each other over the actor's pipe, with an empty message, once
//  for each time that the other one waits.

#ifndef ZSPOOL_PAIR_H_INCLUDED
#define ZSPOOL_PAIR_H_INCLUDED

#include "client.h"

#include <pthread.h>

#define ZSPOOL_TIMEOUT_MS_MAX 86400000

typedef struct {
    //  The application's
    char endpoint [1024];
    uint64_t heartbeat_ms;
    uint64_t timeout_ms;       //  that a call waits
    zactor_t *actor;           //  NULL: not connected
    char reason [256];         //  why the last call failed

    //  Shared
    pthread_mutex_t mutex;
    int failed;                //  for good: a code
    char failure [256];
    bool app_waits;
    bool app_polls;            //  its socket is to be readable when there are news
    bool actor_waits;

    //  The actor's
    zspool_client_t client;
    zsock_t *pipe;
} zspool_pair_t;

void
    zspool_pair_init (zspool_pair_t *self, const char *endpoint);
//  End the actor; and all.
void
    zspool_pair_stop (zspool_pair_t *self);
void
    zspool_pair_end (zspool_pair_t *self);

//  ------------------------------------------------------------------------------------------------
//  Application

//  Say why a call fails: its code's text when there is no other. Gives the code.
int
    zspool_pair_fail (zspool_pair_t *self, int code, const char *text);

//  Take an option's value. EINVAL: the reason has a line.
int
    zspool_pair_set_number (zspool_pair_t *self, const char *option, const char *value,
                            uint64_t min, uint64_t max, uint64_t *field);
int
    zspool_pair_set_switch (zspool_pair_t *self, const char *option, const char *value,
                            bool *field);
//  A field of ZSP_NAME_BYTES_MAX + 1 bytes
int
    zspool_pair_set_name (zspool_pair_t *self, const char *option, const char *value, char *field);
//  Those that every client has: heartbeat, timeout; else EINVAL: no such option.
int
    zspool_pair_set_common (zspool_pair_t *self, const char *option, const char *value);

//  Start the actor. EADDR, ENOMEM.
int
    zspool_pair_start (zspool_pair_t *self, zactor_fn *actor, void *args);

//  With the mutex held: why the client has failed for good, or ZSPOOL_OK.
int
    zspool_pair_check (zspool_pair_t *self);

//  With the mutex held: have the actor work, if it waits.
void
    zspool_pair_wake_actor (zspool_pair_t *self);

//  With the mutex held, which is let go meanwhile: wait until the actor has something to tell, or a
//  signal is to be looked for. ETIMEDOUT, ECANCELED; or why the client has failed for good.
int
    zspool_pair_wait (zspool_pair_t *self, int64_t until_ms);

//  When a call that begins now has waited for long enough
int64_t
    zspool_pair_until (const zspool_pair_t *self);

//  The socket that is readable when there are news, and how to make it quiet. The mutex is not
//  held.
zsock_t *
    zspool_pair_socket (const zspool_pair_t *self);
void
    zspool_pair_quieten (zspool_pair_t *self);

//  ------------------------------------------------------------------------------------------------
//  Actor

//  The mutex is held: it has failed for good, for what an ERROR says.
void
    zspool_pair_fail_for_good (zspool_pair_t *self, int code, zsp_text_t text);

//  The mutex is held: tell the application, if it waits; or if it polls, and there are news.
void
    zspool_pair_wake_app (zspool_pair_t *self, bool news);

//  Take in all that has come: `take` is called for each command, and gives ELOST when the session
//  has ended. Then do what is due. Gives when there is something to do; *lost: the session was
//  lost.
typedef int (zspool_pair_take_fn) (void *object);
int64_t
    zspool_pair_receive (zspool_pair_t *self, zspool_pair_take_fn *take, void *object, bool *lost);

//  Be the actor: call `work`, with the mutex held, whenever something has come, or it is the time
//  that it gave; and `farewell`, if not NULL, before the session ends.
typedef int64_t (zspool_pair_work_fn) (void *object);
typedef void (zspool_pair_farewell_fn) (void *object);
void
    zspool_pair_serve (zspool_pair_t *self, zsock_t *pipe, zspool_pair_work_fn *work,
                       zspool_pair_farewell_fn *farewell, void *object);

#endif
