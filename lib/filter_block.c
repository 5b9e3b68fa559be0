//  filter_block.c - gives the messages of a block that a filter matches
//
//  SPDX-License-Identifier: MPL-2.0

#include "filter_block.h"
#include "block.h"
#include "bytes.h"

enum { MATCH_UNKNOWN, MATCH_YES, MATCH_NO };

static void
s_forget (zspool_verdicts_t *verdicts, const zspool_block_t *block, size_t filters)
{
    verdicts->block = block;
    verdicts->filters = filters;
    memset (verdicts->matches, MATCH_UNKNOWN, zspool_block_topics (block));
}

void
zspool_filter_rewind (zspool_filter_t *self, const zspool_block_t *block, zspool_record_t *record)
{
    s_forget (zspool_filter_verdicts (self), block, zspool_filter_count (self));
    zspool_block_rewind (block, record);
}

static bool
s_next_by_index (zspool_filter_t *self, const zspool_block_t *block, const zspool_block_index_t *index,
                 zspool_record_t *record)
{
    zspool_verdicts_t *verdicts = zspool_filter_verdicts (self);
    if (verdicts->block != block || verdicts->filters != zspool_filter_count (self))
        s_forget (verdicts, block, zspool_filter_count (self));
    uint32_t number = record->number;
    for (; number < index->count; number++) {
        uint32_t topic = get_u16 (index->numbers + number * sizeof (uint16_t));
        if (verdicts->matches [topic] == MATCH_UNKNOWN) {
            zspool_frame_t text = zspool_block_index_topic (index, topic);
            bool matches = zspool_filter_matches (self, text.data, text.size);
            verdicts->matches [topic] = matches? MATCH_YES: MATCH_NO;
        }
        if (verdicts->matches [topic] == MATCH_YES)
            break;
    }
    if (number > record->number)
        zspool_block_go_to (block, record, number);
    return zspool_block_next (block, record);
}

bool
zspool_filter_next (zspool_filter_t *self, const zspool_block_t *block, zspool_record_t *record)
{
    if (zspool_filter_count (self) == 0)
        return zspool_block_next (block, record);
    const zspool_block_index_t *index = zspool_block_index (block);
    if (index)
        return s_next_by_index (self, block, index, record);
    while (zspool_block_next (block, record)) {
        zspool_frame_t topic = zspool_record_topic (record);
        if (zspool_filter_matches (self, topic.data, topic.size))
            return true;
    }
    return false;
}
