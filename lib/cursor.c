//  cursor.c - what one reader of a spool was sent, has acknowledged, and is due to be sent again
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Owns two rings. `blocks` holds the known blocks, each with a bitmap of what is acknowledged; the
//  front is dropped when all of it is. `runs` holds the deliveries in order of time, hence, as the
//  timeout is one for all, in order of deadline.
//
//  Invariants, besides those of cursor.h
//  1. A known message at or below sent_to that is not acknowledged was delivered; in_flight counts
//     these.
//  2. A run (first, last, attempt) stands for its messages that are not acknowledged and were
//     delivered `attempt` times. Sending a message again thus takes it out of its older run,
//     wherever that lies.
//  3. No run ends at or below the floor; the front of `blocks` always holds a message not
//     acknowledged.
//  4. A block that differs from what is stored of it is in the dirty list.
//
//  Thread: its owner's.

#include "cursor_parts.h"

#include <stdlib.h>

#define ATTEMPT_INITIAL 0           //  of the run of what was delivered before our time
#define COALESCE_SHARE 4096         //  deadlines are exact to this share of the timeout, or to 1 ms

//  ------------------------------------------------------------------------------------------------
//  Blocks

//  How many messages of a block lie at or below sent_to
static inline uint32_t
s_sent_messages (const zspool_cursor_t *self, const zspool_cursor_block_t *block)
{
    if (self->sent_to < block->first)
        return 0;
    uint64_t messages = self->sent_to - block->first + 1;
    return messages < block->messages? (uint32_t) messages: block->messages;
}

//  Acknowledge the messages of a word that the mask tells. Returns how many were not before.
static inline uint32_t
s_ack_word (zspool_cursor_t *self, zspool_cursor_block_t *block, uint32_t word, uint64_t mask)
{
    uint64_t *bits = zspool_cursor_block_words (block) + word;
    uint64_t added = mask & ~*bits;
    uint32_t count = zspool_count_bits (added);
    *bits |= added;
    block->acked += count;
    //  Those above sent_to were not in flight.
    uint32_t sent = s_sent_messages (self, block);
    if (sent == block->messages || sent / ZSPOOL_WORD_BITS > word)
        self->in_flight -= count;
    else
    if (sent > word * ZSPOOL_WORD_BITS)
        self->in_flight -=
            zspool_count_bits (added & zspool_word_mask (word, word * ZSPOOL_WORD_BITS, sent - 1));
    return count;
}

static uint32_t
s_ack_in_block (zspool_cursor_t *self, zspool_cursor_block_t *block, uint32_t from, uint32_t to)
{
    uint32_t added = 0;
    if (block->acked < block->messages)
        for (uint32_t word = from / ZSPOOL_WORD_BITS; word <= to / ZSPOOL_WORD_BITS; word++)
            added += s_ack_word (self, block, word, zspool_word_mask (word, from, to));
    return added;
}

//  Find the first known block that ends at or above a sequence; blocks.end when there is none.
static uint64_t
s_find (const zspool_cursor_t *self, uint64_t sequence)
{
    uint64_t low = self->blocks.first, high = self->blocks.end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (sequence > zspool_cursor_block_last (zspool_cursor_block_at (self, middle)))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

//  The same, where it is nearly always the block of last time or the one after it
static inline uint64_t
s_find_near (zspool_cursor_t *self, uint64_t sequence)
{
    for (uint64_t at = self->hit; at <= self->hit + 1; at++)
        if (at >= self->blocks.first && at < self->blocks.end
            && sequence - zspool_cursor_block_at (self, at)->first
                   < zspool_cursor_block_at (self, at)->messages)
            return self->hit = at;
    return self->hit = s_find (self, sequence);
}

//  The known block that holds a message, or NULL
static zspool_cursor_block_t *
s_block_of (const zspool_cursor_t *self, uint64_t sequence)
{
    uint64_t number = s_find (self, sequence);
    if (number == self->blocks.end || zspool_cursor_block_at (self, number)->first > sequence)
        return NULL;
    return zspool_cursor_block_at (self, number);
}

static void
s_set_dirty (zspool_cursor_t *self, uint64_t number)
{
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
    self->changed = true;
    if (block->dirty)
        return;
    block->dirty = true;
    block->dirty_before = ZSPOOL_CURSOR_NO_BLOCK;
    block->dirty_after = self->dirty_head;
    if (self->dirty_head != ZSPOOL_CURSOR_NO_BLOCK)
        zspool_cursor_block_at (self, self->dirty_head)->dirty_before = number;
    self->dirty_head = number;
}

static void
s_drop_front_block (zspool_cursor_t *self)
{
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, self->blocks.first);
    zspool_cursor_set_clean (self, block);
    if (block->messages > ZSPOOL_WORD_BITS)
        free (block->bits.words);
    free (block->counts);
    zspool_ring_drop (&self->blocks);
}

//  Have the floor at a higher sequence. Known blocks below it have been forgotten.
static void
s_set_floor (zspool_cursor_t *self, uint64_t floor)
{
    self->changed = true;
    self->floor = floor;
    if (self->sent_to < floor)
        self->sent_to = floor;
    while (self->runs.first < self->runs.end
           && ((zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.first))->last
                  <= floor)
        zspool_ring_drop (&self->runs);
}

//  Raise the floor as far as it goes, and forget what comes to lie below it.
static void
s_raise_floor (zspool_cursor_t *self)
{
    uint64_t floor = self->floor;
    while (self->blocks.first < self->blocks.end) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, self->blocks.first);
        uint32_t index = floor >= block->first? (uint32_t) (floor - block->first + 1): 0;
        floor = block->first + zspool_cursor_block_next_unacked (block, index) - 1;
        if (block->acked < block->messages)
            break;
        s_drop_front_block (self);
    }
    if (floor > self->floor)
        s_set_floor (self, floor);
}

//  ------------------------------------------------------------------------------------------------
//  Creating, and making blocks known

zspool_cursor_t *
zspool_cursor_new (uint32_t spool, uint32_t cursor, uint32_t generation, uint64_t floor,
                   uint64_t sent_to)
{
    zspool_cursor_t *self = (zspool_cursor_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->spool = spool;
    self->cursor = cursor;
    self->generation = generation;
    self->floor = floor;
    self->sent_to = sent_to > floor? sent_to: floor;
    self->blocks.item_bytes = sizeof (zspool_cursor_block_t);
    self->dirty_head = ZSPOOL_CURSOR_NO_BLOCK;
    self->initial = (zspool_cursor_run_t) { .first = 1, .attempt = ATTEMPT_INITIAL };
    self->runs.item_bytes = sizeof (zspool_cursor_run_t);
    return self;
}

void
zspool_cursor_destroy (zspool_cursor_t **self_p)
{
    zspool_cursor_t *self = *self_p;
    if (!self)
        return;
    while (self->blocks.first < self->blocks.end)
        s_drop_front_block (self);
    free (self->blocks.items);
    free (self->runs.items);
    free (self);
    *self_p = NULL;
}

//  What was delivered before this cursor was created is due at once.
static void
s_add_to_initial (zspool_cursor_t *self, const zspool_cursor_block_t *block)
{
    uint64_t last = block->first + s_sent_messages (self, block) - 1;
    if (last < block->first)
        return;
    if (self->initial.first > self->initial.last)
        self->initial.first = block->first;
    self->initial.last = last;
    self->in_flight += last - block->first + 1;
}

int
zspool_cursor_cover (zspool_cursor_t *self, uint64_t first_sequence, uint32_t messages)
{
    if (first_sequence == 0 || messages == 0 || first_sequence > UINT64_MAX - messages)
        return ZSPOOL_EINVAL;
    if (first_sequence + messages - 1 <= self->floor)
        return ZSPOOL_OK;
    uint64_t number = s_find (self, first_sequence);
    if (number < self->blocks.end) {
        const zspool_cursor_block_t *known = zspool_cursor_block_at (self, number);
        bool same = known->first == first_sequence && known->messages == messages;
        return same? ZSPOOL_OK: ZSPOOL_EINVAL;
    }
    zspool_cursor_block_t block = { .first = first_sequence, .messages = messages };
    if (zspool_ring_reserve (&self->blocks, 1))
        return ZSPOOL_ENOMEM;
    if (messages > ZSPOOL_WORD_BITS) {
        block.bits.words =
            (uint64_t *) calloc ((messages - 1) / ZSPOOL_WORD_BITS + 1, sizeof (uint64_t));
        if (!block.bits.words)
            return ZSPOOL_ENOMEM;
    }
    s_add_to_initial (self, &block);
    if (first_sequence <= self->floor)
        s_ack_in_block (self, &block, 0, (uint32_t) (self->floor - first_sequence));
    *zspool_cursor_block_at (self, self->blocks.end) = block;
    if (self->blocks.end++ == self->blocks.first)
        s_raise_floor (self);
    return ZSPOOL_OK;
}

//  Take over the stored counts of messages that were delivered, where they are higher.
static int
s_restore_counts (const zspool_cursor_t *self, zspool_cursor_block_t *block, const uint8_t *counts)
{
    if (!block->counts)
        block->counts = (uint16_t *) calloc (block->messages, sizeof (uint16_t));
    if (!block->counts)
        return ZSPOOL_ENOMEM;
    uint32_t sent = s_sent_messages (self, block);
    for (uint32_t index = 0; index < sent; index++) {
        uint16_t stored = get_u16 (counts + index * sizeof (uint16_t));
        uint16_t *count = &block->counts [index];
        if (stored > ZSPOOL_COUNT_MAX)
            stored = ZSPOOL_COUNT_MAX;
        if (stored > (*count & ZSPOOL_COUNT_MAX))
            *count = (uint16_t) ((*count & ZSPOOL_COUNT_SENT_HERE) | stored);
    }
    return ZSPOOL_OK;
}

int
zspool_cursor_restore (zspool_cursor_t *self, const zspool_cursor_entry_t *entry)
{
    if (entry->first_sequence + entry->messages - 1 <= self->floor)
        return ZSPOOL_OK;
    zspool_cursor_block_t *block = s_block_of (self, entry->first_sequence);
    if (!block || block->first != entry->first_sequence || block->messages != entry->messages)
        return ZSPOOL_ECORRUPT;
    uint32_t bytes = (entry->messages + 7) / 8;
    uint32_t padding = bytes * 8 - entry->messages;
    if (entry->acked [bytes - 1] >> (8 - padding) && padding)
        return ZSPOOL_ECORRUPT;
    if (entry->counts && s_restore_counts (self, block, entry->counts))
        return ZSPOOL_ENOMEM;
    for (uint32_t index = 0; index < bytes; index++)
        s_ack_word (self, block, index / 8, (uint64_t) entry->acked [index] << (index % 8 * 8));
    s_raise_floor (self);
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Deliveries

//  How often a message was delivered. Of a block, the first `sent` messages were.
static uint16_t
s_deliveries (const zspool_cursor_block_t *block, uint32_t index, uint32_t sent)
{
    if (index >= sent)
        return 0;
    uint16_t count = block->counts? block->counts [index] & ZSPOOL_COUNT_MAX: 0;
    return count? count: 1;
}

//  Counts end at ZSPOOL_COUNT_MAX, but a message's next attempt always differs from its last.
static uint16_t
s_next_attempt (uint16_t deliveries)
{
    return (uint16_t) (deliveries < ZSPOOL_COUNT_MAX? deliveries + 1: deliveries - 1);
}

//  The last message that, like all from index on but for the acknowledged, was delivered as often
//  as that at index.
static uint32_t
s_stretch_end (zspool_cursor_block_t *block, uint32_t index, uint32_t last, uint32_t sent)
{
    uint16_t deliveries = s_deliveries (block, index, sent);
    if (deliveries == 0)
        return last;
    uint32_t end = index;
    while (end < last && (index = zspool_cursor_block_next_unacked (block, end + 1)) <= last
           && s_deliveries (block, index, sent) == deliveries)
        end = index;
    return end;
}

//  Whether nothing is known in from..to, both included, that is not acknowledged
static bool
s_all_acked (const zspool_cursor_t *self, uint64_t from, uint64_t to)
{
    if (from > to)
        return true;
    for (uint64_t number = s_find (self, from); number < self->blocks.end; number++) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
        if (block->first > to)
            break;
        uint32_t index = from > block->first? (uint32_t) (from - block->first): 0;
        index = zspool_cursor_block_next_unacked (block, index);
        if (index < block->messages)
            return block->first + index > to;
    }
    return true;
}

//  Add a run behind the others, or to the last of them. Room for it has been reserved.
static void
s_push_run (zspool_cursor_t *self, uint64_t first, uint64_t last, uint16_t attempt, int64_t now_ms)
{
    if (self->runs.first < self->runs.end) {
        zspool_cursor_run_t *tail =
            (zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.end - 1);
        if (now_ms < tail->sent_ms)
            now_ms = tail->sent_ms;
        //  A run that may still grow is not due, as this is less than the timeout.
        int64_t spread_ms_max = self->timeout_ms / COALESCE_SHARE;
        if (spread_ms_max < 1)
            spread_ms_max = self->timeout_ms > 1;
        if (spread_ms_max > INT32_MAX)
            spread_ms_max = INT32_MAX;
        int64_t spread_ms = now_ms - (tail->sent_ms - tail->spread_ms);
        if (tail->attempt == attempt && spread_ms <= spread_ms_max && tail->last < first
            && s_all_acked (self, tail->last + 1, first - 1)) {
            tail->last = last;
            tail->sent_ms = now_ms;
            tail->spread_ms = (uint32_t) spread_ms;
            return;
        }
    }
    zspool_cursor_run_t *run =
        (zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.end++);
    *run = (zspool_cursor_run_t){
        .first = first, .last = last, .sent_ms = now_ms, .attempt = attempt
    };
}

//  Note the delivery of a stretch of messages that were delivered equally often before.
static void
s_note_stretch (zspool_cursor_t *self, uint64_t number, uint32_t from, uint32_t to,
                uint16_t deliveries, int64_t now_ms)
{
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
    uint16_t attempt = s_next_attempt (deliveries);
    if (deliveries == 0)
        self->in_flight += zspool_cursor_block_count_unacked (block, from, to);
    else {
        for (uint32_t index = from; index <= to;
             index = zspool_cursor_block_next_unacked (block, index + 1))
            block->counts [index] = attempt | ZSPOOL_COUNT_SENT_HERE;
        s_set_dirty (self, number);
    }
    if (self->timeout_ms > 0)
        s_push_run (self, block->first + from, block->first + to, attempt, now_ms);
}

//  Have all the memory that noting these deliveries will take. The first is not acknowledged.
static int
s_reserve_for (zspool_cursor_t *self, zspool_cursor_block_t *block, uint32_t from, uint32_t to,
               uint32_t sent)
{
    if (from < sent && !block->counts) {
        block->counts = (uint16_t *) calloc (block->messages, sizeof (uint16_t));
        if (!block->counts)
            return ZSPOOL_ENOMEM;
    }
    size_t runs = 0;
    for (; from <= to; runs++)
        from = zspool_cursor_block_next_unacked (block, s_stretch_end (block, from, to, sent) + 1);
    return self->timeout_ms > 0? zspool_ring_reserve (&self->runs, runs): ZSPOOL_OK;
}

int
zspool_cursor_sent (zspool_cursor_t *self, uint64_t first, uint64_t last, int64_t now_ms)
{
    if (first == 0 || first > last)
        return ZSPOOL_EINVAL;
    if (last <= self->floor)
        return ZSPOOL_OK;
    if (first <= self->floor)
        first = self->floor + 1;
    uint64_t number = s_find_near (self, first);
    if (number == self->blocks.end)
        return ZSPOOL_EINVAL;
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
    if (first < block->first || last > zspool_cursor_block_last (block)
        || !s_all_acked (self, self->sent_to + 1, first - 1))
        return ZSPOOL_EINVAL;
    uint32_t from = zspool_cursor_block_next_unacked (block, (uint32_t) (first - block->first));
    uint32_t to = (uint32_t) (last - block->first);
    uint32_t sent = s_sent_messages (self, block);
    if (from <= to && s_reserve_for (self, block, from, to, sent))
        return ZSPOOL_ENOMEM;
    while (from <= to) {
        uint32_t end = s_stretch_end (block, from, to, sent);
        s_note_stretch (self, number, from, end, s_deliveries (block, from, sent), now_ms);
        from = zspool_cursor_block_next_unacked (block, end + 1);
    }
    if (self->sent_to < last) {
        self->sent_to = last;
        self->changed = true;
    }
    return ZSPOOL_OK;
}

void
zspool_cursor_set_timeout_ms (zspool_cursor_t *self, int64_t timeout_ms)
{
    self->timeout_ms = timeout_ms > 0? timeout_ms: 0;
}

//  ------------------------------------------------------------------------------------------------
//  Acknowledgements

//  Acknowledge one message of a block: the usual case.
static inline uint64_t
s_ack_one (zspool_cursor_t *self, uint64_t number, uint64_t sequence)
{
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
    uint32_t index = (uint32_t) (sequence - block->first);
    uint64_t *word = zspool_cursor_block_words (block) + index / ZSPOOL_WORD_BITS;
    uint64_t bit = 1ull << (index % ZSPOOL_WORD_BITS);
    if (*word & bit)
        return 0;
    *word |= bit;
    block->acked++;
    if (sequence <= self->sent_to)
        self->in_flight--;
    s_set_dirty (self, number);
    return 1;
}

//  Acknowledge from..to, in however many blocks, starting in or before this one.
static uint64_t
s_ack_range (zspool_cursor_t *self, uint64_t number, uint64_t first, uint64_t last)
{
    uint64_t added_all = 0;
    for (; number < self->blocks.end && zspool_cursor_block_at (self, number)->first <= last;
         number++) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
        uint32_t from = first > block->first? (uint32_t) (first - block->first): 0;
        uint32_t to = last < zspool_cursor_block_last (block)? (uint32_t) (last - block->first):
                                                               block->messages - 1;
        uint32_t added = s_ack_in_block (self, block, from, to);
        if (added)
            s_set_dirty (self, number);
        added_all += added;
    }
    return added_all;
}

uint64_t
zspool_cursor_ack (zspool_cursor_t *self, uint64_t first, uint64_t last)
{
    if (first <= self->floor)
        first = self->floor + 1;
    if (first > last)
        return 0;
    uint64_t number = s_find_near (self, first), added;
    if (first == last && number < self->blocks.end
        && first >= zspool_cursor_block_at (self, number)->first)
        added = s_ack_one (self, number, first);
    else
        added = s_ack_range (self, number, first, last);
    //  Of what is known, floor + 1 is the first message that is not acknowledged.
    if (first == self->floor + 1)
        s_raise_floor (self);
    return added;
}

uint64_t
zspool_cursor_skip (zspool_cursor_t *self, uint64_t to)
{
    if (to <= self->floor)
        return 0;
    uint64_t in_flight = self->in_flight;
    s_ack_range (self, self->blocks.first, self->floor + 1, to);
    s_raise_floor (self);
    //  A known block lies above now, or there is none.
    if (self->floor < to)
        s_set_floor (self, to);
    return in_flight - self->in_flight;
}

//  ------------------------------------------------------------------------------------------------
//  What is due again

//  The deadline of a run; INT64_MAX: never
static int64_t
s_deadline_ms (const zspool_cursor_t *self, const zspool_cursor_run_t *run)
{
    if (self->timeout_ms == 0 || run->sent_ms > INT64_MAX - self->timeout_ms)
        return INT64_MAX;
    return run->sent_ms + self->timeout_ms;
}

//  Move a run's start to the first of its messages that it still stands for. False when there is
//  none.
static bool
s_walk_run (zspool_cursor_t *self, zspool_cursor_run_t *run)
{
    for (uint64_t number = s_find_near (self, run->first); number < self->blocks.end; number++) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
        if (block->first > run->last)
            return false;
        uint32_t index = run->first > block->first? (uint32_t) (run->first - block->first): 0;
        for (index = zspool_cursor_block_next_unacked (block, index); index < block->messages;
             index = zspool_cursor_block_next_unacked (block, index + 1)) {
            if (block->first + index > run->last)
                return false;
            bool stands = run->attempt == ATTEMPT_INITIAL?
                !block->counts || !(block->counts [index] & ZSPOOL_COUNT_SENT_HERE):
                s_deliveries (block, index, block->messages) == run->attempt;
            if (stands) {
                run->first = block->first + index;
                return true;
            }
        }
    }
    return false;
}

bool
zspool_cursor_due (zspool_cursor_t *self, int64_t now_ms, uint64_t *sequence)
{
    if (self->initial.first <= self->initial.last) {
        if (self->initial.last > self->floor && s_walk_run (self, &self->initial)) {
            *sequence = self->initial.first;
            return true;
        }
        self->initial.first = self->initial.last + 1;
    }
    while (self->runs.first < self->runs.end) {
        zspool_cursor_run_t *run =
            (zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.first);
        int64_t deadline_ms = s_deadline_ms (self, run);
        if (deadline_ms == INT64_MAX || deadline_ms > now_ms)
            return false;
        if (s_walk_run (self, run)) {
            *sequence = run->first;
            return true;
        }
        zspool_ring_drop (&self->runs);
    }
    return false;
}

//  The run that zspool_cursor_due () found last
static zspool_cursor_run_t *
s_due_run (zspool_cursor_t *self)
{
    if (self->initial.first <= self->initial.last)
        return &self->initial;
    return (zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.first);
}

int
zspool_cursor_defer (zspool_cursor_t *self, uint64_t sequence, int64_t now_ms)
{
    uint16_t attempt = zspool_cursor_deliveries (self, sequence);
    if (zspool_ring_reserve (&self->runs, 1))
        return ZSPOOL_ENOMEM;
    s_due_run (self)->first = sequence + 1;
    s_push_run (self, sequence, sequence, attempt, now_ms);
    return ZSPOOL_OK;
}

int64_t
zspool_cursor_due_sent_ms (const zspool_cursor_t *self)
{
    if (self->initial.first <= self->initial.last)
        return INT64_MIN;
    return ((const zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.first))
        ->sent_ms;
}

int64_t
zspool_cursor_next_due_ms (const zspool_cursor_t *self)
{
    if (self->initial.first <= self->initial.last && self->initial.last > self->floor)
        return 0;
    if (self->runs.first == self->runs.end)
        return INT64_MAX;
    return s_deadline_ms (
        self, (const zspool_cursor_run_t *) zspool_ring_item (&self->runs, self->runs.first));
}

//  ------------------------------------------------------------------------------------------------
//  Looking

uint16_t
zspool_cursor_deliveries (const zspool_cursor_t *self, uint64_t sequence)
{
    const zspool_cursor_block_t *block = s_block_of (self, sequence);
    if (!block)
        return 0;
    uint32_t index = (uint32_t) (sequence - block->first);
    return s_deliveries (block, index, s_sent_messages (self, block));
}

bool
zspool_cursor_acked (const zspool_cursor_t *self, uint64_t sequence)
{
    if (sequence <= self->floor)
        return true;
    uint64_t number = s_find (self, sequence);
    if (number == self->blocks.end)
        return false;
    zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
    uint32_t index = (uint32_t) (sequence - block->first);
    return sequence < block->first || zspool_cursor_block_next_unacked (block, index) > index;
}

uint64_t
zspool_cursor_floor (const zspool_cursor_t *self)
{
    return self->floor;
}

uint64_t
zspool_cursor_sent_to (const zspool_cursor_t *self)
{
    return self->sent_to;
}

uint64_t
zspool_cursor_in_flight (const zspool_cursor_t *self)
{
    return self->in_flight;
}

bool
zspool_cursor_may_deliver (const zspool_cursor_t *self)
{
    return self->in_flight < ZSPOOL_IN_FLIGHT_MAX
           && self->blocks.end - self->blocks.first < ZSPOOL_CURSOR_BLOCKS_MAX;
}
