//  admin.c - asks the service of a device in any process
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the caller's.

#include "zspool_admin.h"
#include "client.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS 60000             //  it says nothing between calls
#define SLICE_MS 100                   //  how long a wait lasts before a signal is looked for

struct zspool_admin {
    zspool_client_t client;
    char endpoint [1024];
    bool begun;
    int64_t timeout_ms;
    uint32_t request;
    char reason [256];
};

static int
s_fail (zspool_admin_t *self, int code, const char *text)
{
    snprintf (self->reason, sizeof self->reason, "%s", text? text: zspool_strerror (code));
    return code;
}

zspool_admin_t *
zspool_admin_new (const char *endpoint)
{
    zspool_admin_t *self = (zspool_admin_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint? endpoint: "");
    self->timeout_ms = 5000;
    return self;
}

void
zspool_admin_destroy (zspool_admin_t **self_p)
{
    if (!*self_p)
        return;
    zspool_client_end (&(*self_p)->client, true);
    free (*self_p);
    *self_p = NULL;
}

void
zspool_admin_set_timeout (zspool_admin_t *self, int64_t timeout_ms)
{
    self->timeout_ms = timeout_ms;
}

//  Wait for something to come, a moment at most.
static int
s_wait (zspool_admin_t *self, int64_t until_ms)
{
    int64_t left_ms = until_ms - zclock_mono ();
    if (left_ms <= 0)
        return s_fail (self, ZSPOOL_ETIMEDOUT, "nobody answers");
    zmq_pollitem_t item = { self->client.socket, -1, ZMQ_POLLIN, 0 };
    zmq_poll (&item, self->client.socket? 1: 0, left_ms < SLICE_MS? (long) left_ms: SLICE_MS);
    return zsys_interrupted? s_fail (self, ZSPOOL_ECANCELED, NULL): ZSPOOL_OK;
}

//  Wait until the session is up.
static int
s_begin (zspool_admin_t *self, int64_t until_ms)
{
    if (!self->begun && !zspool_client_is_endpoint (self->endpoint))
        return s_fail (self, ZSPOOL_EADDR, "not an endpoint to connect to");
    if (!self->begun)
        zspool_client_init (&self->client, self->endpoint, HEARTBEAT_MS);
    self->begun = true;
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK) {
        bool lost;
        zspool_client_work (&self->client, zclock_mono (), &lost);
        int received = zspool_client_receive (&self->client, zclock_mono ());
        if (received == ZSPOOL_EVERSION)
            return s_fail (self, received, NULL);
        if (received != ZSPOOL_OK && self->client.state == ZSPOOL_CLIENT_UP)
            break;
        if (self->client.state != ZSPOOL_CLIENT_UP)
            rc = s_wait (self, until_ms);
    }
    return rc;
}

//  What an ERROR says. One that is fatal ends the session: the next call begins another.
static int
s_refused (zspool_admin_t *self)
{
    const zsp_t *command = &self->client.command;
    int code = -(int) command->as.error.code;
    zsp_text_copy (self->reason, sizeof self->reason, command->as.error.text);
    if (command->flags & ZSP_FLAG_FATAL)
        zspool_client_drop (&self->client, zclock_mono ());
    //  Out of turn is what comes when the session had expired.
    return code == ZSPOOL_EPROTOCOL? s_fail (self, ZSPOOL_ELOST, NULL): code;
}

//  Send a command and wait for its answer, which is in self->client.
static int
s_ask (zspool_admin_t *self, zsp_t *command, int64_t until_ms)
{
    command->request = 10 + ++self->request;
    int rc = zspool_client_send (&self->client, command, NULL, NULL, 0);
    if (rc)
        return s_fail (self, rc, NULL);
    while (rc == ZSPOOL_OK) {
        rc = zspool_client_receive (&self->client, zclock_mono ());
        if (rc == ZSPOOL_OK && self->client.command.request == command->request)
            return self->client.command.command == ZSP_ERROR? s_refused (self): ZSPOOL_OK;
        if (rc == ZSPOOL_ENOENT)
            rc = s_wait (self, until_ms);
        bool lost = false;
        if (rc == ZSPOOL_OK)
            zspool_client_work (&self->client, zclock_mono (), &lost);
        if (lost)
            rc = ZSPOOL_ELOST;
    }
    return rc == ZSPOOL_ELOST || rc == ZSPOOL_EVERSION? s_fail (self, rc, NULL): rc;
}

//  Cut "name=value name=value" into children.
static void
s_put_numbers (zconfig_t *row, char *line)
{
    char *rest = line, *pair;
    while ((pair = strtok_r (rest, " ", &rest))) {
        char *equals = strchr (pair, '=');
        if (!equals)
            continue;
        *equals = 0;
        zconfig_put (row, pair, equals + 1);
    }
}

//  The names and values of the answer, as a tree; `rows`: each is a row with numbers.
static zconfig_t *
s_tree (zspool_admin_t *self, bool rows)
{
    zconfig_t *tree = zconfig_new (rows? "list": "device", NULL);
    const uint8_t *at = NULL;
    for (size_t index = 0; tree && index < self->client.command.as.values.count; index++) {
        zsp_text_t name, value;
        char name_text [512], value_text [1024];
        zsp_pair (&self->client.command, &at, &name, &value);
        zsp_text_copy (name_text, sizeof name_text, name);
        zsp_text_copy (value_text, sizeof value_text, value);
        if (rows)
            s_put_numbers (zconfig_new (name_text, tree), value_text);
        else
            zconfig_put (tree, name_text, value_text);
    }
    return tree;
}

int
zspool_admin_status (zspool_admin_t *self, zconfig_t **status_p)
{
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    zsp_t command = { .command = ZSP_STATUS };
    int rc = s_begin (self, until_ms);
    if (rc == ZSPOOL_OK)
        rc = s_ask (self, &command, until_ms);
    zconfig_t *tree = rc? NULL: s_tree (self, false);
    if (rc == ZSPOOL_OK && !tree)
        rc = s_fail (self, ZSPOOL_ENOMEM, NULL);
    if (rc == ZSPOOL_OK)
        *status_p = tree;
    return rc;
}

//  Open a spool: its handle in this session.
static int
s_open (zspool_admin_t *self, const char *spool, int64_t until_ms, uint32_t *handle)
{
    zsp_t command = { .command = ZSP_OPEN };
    command.as.open.spool = (zsp_text_t){ spool, strlen (spool) };
    if (!zspool_client_is_name (spool))
        return s_fail (self, ZSPOOL_EINVAL, "not a name for a spool");
    int rc = s_begin (self, until_ms);
    if (rc == ZSPOOL_OK)
        rc = s_ask (self, &command, until_ms);
    if (rc == ZSPOOL_OK)
        *handle = self->client.command.as.opened.spool;
    return rc;
}

int
zspool_admin_list (zspool_admin_t *self, const char *spool, zconfig_t **list_p)
{
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    zsp_t command = { .command = ZSP_LIST };
    int rc = spool? s_open (self, spool, until_ms, &command.as.list.spool):
                    s_begin (self, until_ms);
    if (rc == ZSPOOL_OK)
        rc = s_ask (self, &command, until_ms);
    zconfig_t *tree = rc? NULL: s_tree (self, true);
    if (rc == ZSPOOL_OK && !tree)
        rc = s_fail (self, ZSPOOL_ENOMEM, NULL);
    if (rc == ZSPOOL_OK)
        *list_p = tree;
    return rc;
}

int
zspool_admin_purge (zspool_admin_t *self, const char *spool, uint64_t sequence)
{
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    zsp_t command = { .command = ZSP_PURGE };
    command.as.purge.sequence = sequence;
    int rc = s_open (self, spool, until_ms, &command.as.purge.spool);
    return rc? rc: s_ask (self, &command, until_ms);
}

int
zspool_admin_delete_cursor (zspool_admin_t *self, const char *spool, const char *cursor)
{
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    zsp_t command = { .command = ZSP_DELETE_CURSOR };
    command.as.delete_cursor.cursor = (zsp_text_t){ cursor, strlen (cursor) };
    if (!zspool_client_is_name (cursor))
        return s_fail (self, ZSPOOL_EINVAL, "not a name for a cursor");
    int rc = s_open (self, spool, until_ms, &command.as.delete_cursor.spool);
    return rc? rc: s_ask (self, &command, until_ms);
}

const char *
zspool_admin_reason (const zspool_admin_t *self)
{
    return self->reason;
}
