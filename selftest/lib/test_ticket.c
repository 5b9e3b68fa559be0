//  test_ticket.c - tests of the codec of tickets
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "zspool_ticket.h"

static const zspool_ticket_t s_ticket = { 0x0102, 0x03040506, 0x0708090a, 0x0b0c0d0e,
                                          0x0f10111213141516, 0x1718191a1b1c1d1e };

//  Version 1, as it has been since the first release: consumers hold these across an upgrade.
static const uint8_t s_bytes [ZSPOOL_TICKET_BYTES] = {
    0x01, 0x00, 0x02, 0x01, 0x06, 0x05, 0x04, 0x03, 0x0a, 0x09, 0x08, 0x07, 0x0e, 0x0d, 0x0c, 0x0b,
    0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x10, 0x0f, 0x1e, 0x1d, 0x1c, 0x1b, 0x1a, 0x19, 0x18, 0x17,
};

static void
s_check_same (const zspool_ticket_t *ticket, const zspool_ticket_t *expected)
{
    CHECK_EQ_U64 (ticket->attempt, expected->attempt);
    CHECK_EQ_U64 (ticket->spool, expected->spool);
    CHECK_EQ_U64 (ticket->cursor, expected->cursor);
    CHECK_EQ_U64 (ticket->generation, expected->generation);
    CHECK_EQ_U64 (ticket->sequence, expected->sequence);
    CHECK_EQ_U64 (ticket->incarnation, expected->incarnation);
}

TEST (test_ticket_encoded_has_the_bytes_of_version_1)
{
    uint8_t bytes [ZSPOOL_TICKET_BYTES];
    memset (bytes, 0xee, sizeof bytes);
    zspool_ticket_encode (&s_ticket, bytes);
    CHECK_EQ_MEM (bytes, sizeof bytes, s_bytes, sizeof s_bytes);
}

TEST (test_ticket_of_version_1_decodes)
{
    zspool_ticket_t ticket;
    CHECK_OK (zspool_ticket_decode (&ticket, s_bytes, sizeof s_bytes));
    s_check_same (&ticket, &s_ticket);
}

TEST (test_ticket_random_comes_back)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 1000; round++) {
        zspool_ticket_t ticket = { (uint16_t) kit_random (&chance), (uint32_t) kit_random (&chance),
                                   (uint32_t) kit_random (&chance), (uint32_t) kit_random (&chance),
                                   kit_random (&chance), kit_random (&chance) }, again;
        uint8_t bytes [ZSPOOL_TICKET_BYTES];
        zspool_ticket_encode (&ticket, bytes);
        CHECK_OK (zspool_ticket_decode (&again, bytes, sizeof bytes));
        s_check_same (&again, &ticket);
    }
}

TEST (test_ticket_of_wrong_size_gives_ecorrupt_and_changes_nothing)
{
    zspool_ticket_t ticket = s_ticket;
    uint8_t bytes [ZSPOOL_TICKET_BYTES + 1] = { 1 };
    for (size_t size = 0; size <= sizeof bytes; size++)
        if (size != ZSPOOL_TICKET_BYTES)
            CHECK_CODE (zspool_ticket_decode (&ticket, bytes, size), ZSPOOL_ECORRUPT);
    CHECK_CODE (zspool_ticket_decode (&ticket, NULL, 0), ZSPOOL_ECORRUPT);
    s_check_same (&ticket, &s_ticket);
}

TEST (test_ticket_of_newer_version_gives_eversion)
{
    zspool_ticket_t ticket = s_ticket;
    uint8_t bytes [ZSPOOL_TICKET_BYTES] = { 0 };
    for (unsigned version = 2; version <= 255; version++) {
        bytes [0] = (uint8_t) version;
        CHECK_CODE (zspool_ticket_decode (&ticket, bytes, sizeof bytes), ZSPOOL_EVERSION);
    }
    s_check_same (&ticket, &s_ticket);
}

TEST (test_ticket_with_reserved_byte_gives_ecorrupt)
{
    zspool_ticket_t ticket;
    uint8_t bytes [ZSPOOL_TICKET_BYTES];
    memcpy (bytes, s_bytes, sizeof bytes);
    bytes [1] = 1;
    CHECK_CODE (zspool_ticket_decode (&ticket, bytes, sizeof bytes), ZSPOOL_ECORRUPT);
    memset (bytes, 0, sizeof bytes);
    CHECK_CODE (zspool_ticket_decode (&ticket, bytes, sizeof bytes), ZSPOOL_ECORRUPT);
}

TEST (test_ticket_decodes_on_any_alignment)
{
    uint8_t bytes [ZSPOOL_TICKET_BYTES + 8];
    for (size_t offset = 0; offset < 8; offset++) {
        zspool_ticket_t ticket;
        memcpy (bytes + offset, s_bytes, sizeof s_bytes);
        CHECK_OK (zspool_ticket_decode (&ticket, bytes + offset, sizeof s_bytes));
        s_check_same (&ticket, &s_ticket);
    }
}
