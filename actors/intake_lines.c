//  intake_lines.c - the producers of an intake: how far each has got, and what it is told
//
//  SPDX-License-Identifier: MPL-2.0

#include "intake_parts.h"
#include "post.h"

#include <czmq.h>
#include <stdlib.h>
#include <string.h>

//  A producer waits at least so long
#define HOLD_MS 10

void
zspool_intake_unref_line (zspool_intake_t *self, zspool_line_t *line)
{
    if (--line->refs > 0)
        return;
    zspool_line_t **at = &self->lines;
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    self->info.lines--;
    free (line);
}

static zspool_line_t *
s_find_line (zspool_intake_t *self, const char *name)
{
    zspool_line_t *line = *name? self->lines: NULL;
    while (line && strcmp (line->name, name) != 0)
        line = line->next;
    return line;
}

static zspool_line_t *
s_new_line (zspool_intake_t *self, const char *name)
{
    zspool_line_t *line = (zspool_line_t *) calloc (1, sizeof *line);
    if (!line)
        return NULL;
    snprintf (line->name, sizeof line->name, "%s", name);
    line->next = self->lines;
    self->lines = line;
    self->info.lines++;
    return line;
}

//  How much a producer should have unconfirmed at most: there is so much for all
static uint32_t
s_window_bytes (const zspool_intake_t *self)
{
    size_t bytes = ZSPOOL_INTAKE_BYTES_MAX / (self->lines_used? self->lines_used: 1);
    if (bytes > ZSPOOL_WINDOW_BYTES_MAX)
        bytes = ZSPOOL_WINDOW_BYTES_MAX;
    return (uint32_t) (bytes < ZSPOOL_WINDOW_BYTES_MIN? ZSPOOL_WINDOW_BYTES_MIN: bytes);
}

void
zspool_intake_confirm (zspool_intake_t *self, zspool_line_t *line, bool resume)
{
    if (!line->session)
        return;
    zsp_t confirm = { .command = ZSP_CONFIRM, .flags = resume? ZSP_FLAG_RESUME: 0 };
    confirm.as.confirm.cached = line->taken;
    confirm.as.confirm.committed = line->stored;
    confirm.as.confirm.window_bytes = s_window_bytes (self);
    if (zspool_post_command (self->args.socket, line->session, &confirm, NULL))
        return; //  it is gone
    line->told_cached = line->taken;
    line->told_committed = line->stored;
}

void
zspool_intake_tell_producing (zspool_intake_t *self, zspool_line_t *line)
{
    zsp_t producing = { .command = ZSP_PRODUCING, .request = line->asked_request };
    producing.as.producing.epoch = line->epoch;
    producing.as.producing.last = line->taken;
    producing.as.producing.window_bytes = s_window_bytes (self);
    zspool_post_command (self->args.socket, line->session, &producing, NULL);
    line->asked = false;
    zspool_intake_confirm (self, line, false);
}

zspool_line_t *
zspool_intake_open (zspool_intake_t *self, zspool_session_t *session, uint32_t request,
                    const char *name, uint32_t producer, uint32_t epoch, uint64_t last,
                    zspool_session_t **fenced)
{
    zspool_line_t *line = s_find_line (self, name);
    *fenced = NULL;
    if (!line) {
        line = s_new_line (self, name);
        if (!line)
            return NULL;
        line->taken = line->stored = last;
    }
    if (line->session && line->session != session) {
        *fenced = line->session;
        line->session->line = NULL;
        line->refs--;
        self->lines_used--;
    }
    line->producer = producer? producer: ZSPOOL_MARK_UNNAMED | self->unnamed++;
    line->epoch = epoch;
    line->held = false;
    if (line->session != session) {
        line->session = session;
        line->refs++;
        self->lines_used++;
    }
    session->line = line;
    line->asked = true;
    line->asked_request = request;
    //  Where it goes on is not known before the transaction that is under way has ended.
    if (!line->committing)
        zspool_intake_tell_producing (self, line);
    return line;
}

void
zspool_intake_leave (zspool_intake_t *self, zspool_session_t *session)
{
    zspool_line_t *line = session->line;
    if (!line)
        return;
    session->line = NULL;
    line->session = NULL;
    line->held = line->asked = false;
    self->lines_used--;
    zspool_intake_unref_line (self, line);
}

//  ------------------------------------------------------------------------------------------------
//  Telling

void
zspool_intake_touch (zspool_intake_t *self, zspool_line_t *line)
{
    if (line->touched)
        return;
    line->touched = true;
    line->refs++;
    line->next_touched = self->touched;
    self->touched = line;
}

void
zspool_intake_tell_touched (zspool_intake_t *self)
{
    while (self->touched) {
        zspool_line_t *line = self->touched;
        self->touched = line->next_touched;
        line->touched = false;
        if (line->wants_cached
            && (line->told_cached < line->taken || line->told_committed < line->stored))
            zspool_intake_confirm (self, line, false);
        line->wants_cached = false;
        zspool_intake_unref_line (self, line);
    }
}

//  Let a line's producer wait: what comes from its number `taken` + 1 on was not taken.
void
zspool_intake_hold (zspool_intake_t *self, zspool_line_t *line)
{
    if (line->held)
        return;
    line->held = self->some_held = true;
    line->held_ms = *self->args.now_ms;
    self->info.held++;
    zsp_t hold = { .command = ZSP_HOLD };
    hold.as.hold.number = line->taken + 1;
    zspool_post_command (self->args.socket, line->session, &hold, NULL);
}

//  Whether a line that was held would find room now
static bool
s_may_resume (const zspool_intake_t *self, const zspool_line_t *line, int64_t now_ms)
{
    if (now_ms - line->held_ms < HOLD_MS)
        return false;
    for (const zspool_load_t *load = self->filling; load; load = load->next)
        if ((zspool_load_has_spool (load, line->held_for) || line->load == load)
            && load->bytes > self->args.load_bytes_max / 2)
            return false;
    return true;
}

//  There is room again: those who were told to wait may go on, when what they had sent before they
//  were told has come, and was dropped. Gives when to look again; INT64_MAX: nobody waits.
int64_t
zspool_intake_resume (zspool_intake_t *self, int64_t now_ms)
{
    if (!self->some_held)
        return INT64_MAX;
    if (self->under_way_bytes + self->filling_bytes > ZSPOOL_INTAKE_BYTES_MAX / 2)
        return now_ms + HOLD_MS;
    self->some_held = false;
    for (zspool_line_t *line = self->lines; line; line = line->next)
        if (line->held && !s_may_resume (self, line, now_ms))
            self->some_held = true;
        else if (line->held) {
            line->held = false;
            zspool_intake_confirm (self, line, true);
        }
    return self->some_held? now_ms + HOLD_MS: INT64_MAX;
}
