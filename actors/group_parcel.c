//  group_parcel.c - makes up what a DELIVER carries
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A block is given in pieces: stretches of consecutive records that go to one consumer in one
//  DELIVER. When nothing has to be known of single records, because there is no filter and all of
//  the rest of a block is covered by a credit, a piece is that rest, and no record is looked at.

#include "group_parts.h"
#include "run.h"

//  Add a record to the parcel: to its last piece, or as a new one. False: it has no room for it.
static bool
s_add_record (zspool_parcel_t *parcel, const zspool_record_t *record, unsigned deliveries)
{
    const uint8_t *begin = zspool_record_begin (record), *end = zspool_record_end (record);
    size_t size = (size_t) (end - begin);
    if (parcel->messages == parcel->messages_max
        || (parcel->messages > 0 && parcel->bytes + size > parcel->bytes_max))
        return false;
    zspool_piece_t *piece = parcel->pieces_count? &parcel->pieces [parcel->pieces_count - 1]: NULL;
    if (piece && piece->records + piece->size == begin && piece->deliveries == deliveries)
        piece->size += size;
    else {
        if (parcel->pieces_count == ZSP_SLICES_MAX)
            return false;
        piece = &parcel->pieces [parcel->pieces_count++];
        *piece = (zspool_piece_t){ record->sequence, 0, (uint16_t) deliveries, begin, size };
    }
    piece->count++;
    parcel->messages++;
    parcel->bytes += size;
    return true;
}

//  The record behind which the message `sequence` comes, in a block: from where we were, or the
//  beginning.
static void
s_go_to (zspool_group_t *self, zspool_parcel_t *parcel, uint64_t sequence)
{
    zspool_record_t *record = &parcel->last;
    zspool_block_rewind (parcel->block, record);
    if (self->args.filter)
        zspool_filter_rewind (self->args.filter, parcel->block, record);
    uint64_t first = zspool_block_first_sequence (parcel->block);
    if (sequence <= first)
        return;
    if (zspool_block_index (parcel->block)) {
        zspool_block_go_to (parcel->block, record, (uint32_t) (sequence - first));
        record->sequence = sequence - 1;
        return;
    }
    if (self->at_block == first && self->at.sequence < sequence)
        *record = self->at;
    while (record->number < sequence - first && zspool_block_next (parcel->block, record))
        ;
}

void
zspool_group_begin_parcel (zspool_group_t *self, zspool_parcel_t *parcel, zspool_block_t *block,
                           uint64_t sequence, uint64_t messages_max, uint64_t bytes_max)
{
    parcel->block = block;
    parcel->messages_max = messages_max;
    parcel->bytes_max = bytes_max;
    parcel->messages = parcel->bytes = 0;
    parcel->pieces_count = 0;
    s_go_to (self, parcel, sequence);
}

//  Take all that is left of the block, from behind parcel->last on, as one piece, if the parcel has
//  room for it.
bool
zspool_parcel_add_rest (zspool_parcel_t *self, uint64_t sequence)
{
    size_t size;
    const uint8_t *records = zspool_block_records (self->block, &size);
    uint64_t last = zspool_block_last_sequence (self->block);
    size_t bytes = size - self->last.next_offset;
    if (last - sequence + 1 > self->messages_max || bytes > self->bytes_max)
        return false;
    self->pieces [0] = (zspool_piece_t){ sequence, (uint32_t) (last - sequence + 1), 1,
                                           records + self->last.next_offset, bytes };
    self->pieces_count = 1;
    self->messages = last - sequence + 1;
    self->bytes = bytes;
    self->end = last;
    return true;
}

//  What the filter does not want is acknowledged. When it comes again, it was wanted by those who
//  used the cursor before, with another filter.
static void
s_pass_over (zspool_group_t *self, uint64_t first, uint64_t last, bool again)
{
    if (first > last)
        return;
    if (again)
        zspool_leases_drop (self->leases, first, last, NULL, NULL);
    zspool_cursor_ack (self->args.tracker, first, last);
}

//  How often a message will have been delivered, when it is now; 0: it is not to be: acknowledged,
//  or delivered too often already, and then doomed.
static unsigned
s_next_delivery (zspool_group_t *self, uint64_t sequence, bool again, bool *failed)
{
    if (zspool_cursor_acked (self->args.tracker, sequence)) {
        s_pass_over (self, sequence, sequence, again);
        return 0;
    }
    unsigned deliveries = zspool_cursor_deliveries (self->args.tracker, sequence);
    if (!zspool_burial_wants (&self->doom.burial, deliveries))
        return deliveries + 1;
    //  What was looked at before, and then could not be sent, is doomed already.
    if (!again && zspool_leases_holds (self->leases, ZSPOOL_NOBODY, sequence, sequence))
        return 0;
    //  Dropping a lease may cut it twice.
    if (zspool_leases_reserve (self->leases, 3)
        || zspool_doom_add (&self->doom, sequence, ZSPOOL_DEATH_DELIVERIES, deliveries, NULL, 0)) {
        *failed = true;
        return 0;
    }
    zspool_leases_drop (self->leases, sequence, sequence, NULL, NULL);
    zspool_leases_grant (self->leases, sequence, sequence, ZSPOOL_NOBODY, INT64_MAX);
    zspool_group_want_dead (self);
    return 0;
}

//  Look at the messages first..last of the block one by one, and add those that are to be
//  delivered. False: what a message needs cannot be had now.
bool
zspool_group_add_each (zspool_group_t *self, zspool_parcel_t *parcel, uint64_t first, uint64_t last,
                       bool again)
{
    bool failed = false;
    zspool_record_t record = parcel->last;
    parcel->end = first - 1;
    while (!failed) {
        bool more = self->args.filter?
                         zspool_filter_next (self->args.filter, parcel->block, &record):
                         zspool_block_next (parcel->block, &record);
        if (!more || record.sequence > last) {
            s_pass_over (self, parcel->end + 1, last, again);
            parcel->end = last;
            break;
        }
        if (record.sequence < first)
            continue;
        s_pass_over (self, parcel->end + 1, record.sequence - 1, again);
        parcel->end = record.sequence - 1;
        bool known = record.sequence <= self->known_to || record.sequence < self->next;
        unsigned deliveries = known? s_next_delivery (self, record.sequence, again, &failed): 1;
        if (failed || (deliveries > 0 && !s_add_record (parcel, &record, deliveries)))
            break;
        parcel->end = record.sequence;
        parcel->last = record;
    }
    return !failed;
}
