//  test_control_frame.c - tests of the layout of messages on a store's control socket
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "control_frame.h"
#include "lib/kit.h"

#define ROUNDS 20000
#define HEADER ZSPOOL_CONTROL_HEADER_BYTES

//  Decode a body that is exactly so long, so that the address sanitizer sees a read beyond it.
static int
s_decode (const uint8_t *body, size_t size, zmsg_t **message)
{
    uint8_t *copy = (uint8_t *) calloc (1, size + (size == 0));
    memcpy (copy, body, size);
    int rc = zspool_control_frame_decode (copy, size, message);
    free (copy);
    return rc;
}

TEST (test_control_frame_round_trip_keeps_every_string)
{
    zmsg_t *message = zmsg_new (), *decoded;
    zmsg_addstr (message, "COMMAND");
    zmsg_addstr (message, "");
    zmsg_addmem (message, "\0\xff\n", 3);
    uint8_t *bytes;
    size_t size, body_bytes;
    CHECK_OK (zspool_control_frame_encode (message, 1000, &bytes, &size));
    CHECK_OK (zspool_control_frame_header (bytes, 1000, &body_bytes));
    CHECK_EQ_U64 (body_bytes, size - HEADER);
    CHECK_OK (s_decode (bytes + HEADER, body_bytes, &decoded));
    CHECK (zmsg_eq (message, decoded));
    zmsg_destroy (&message);
    zmsg_destroy (&decoded);
    free (bytes);
}

TEST (test_control_frame_over_its_limits_gives_etoobig)
{
    uint8_t *bytes = NULL;
    size_t size = 77;
    zmsg_t *message = zmsg_new ();
    zmsg_addstr (message, "0123456789");
    CHECK_CODE (zspool_control_frame_encode (message, 13, &bytes, &size), ZSPOOL_ETOOBIG);
    CHECK_OK (zspool_control_frame_encode (message, 14, &bytes, &size));
    CHECK_CODE (zspool_control_frame_header (bytes, 13, &size), ZSPOOL_ETOOBIG);
    free (bytes);
    for (int count = 1; count < ZSPOOL_CONTROL_STRINGS_MAX; count++)
        zmsg_addstr (message, "");
    CHECK_OK (zspool_control_frame_encode (message, 1 << 20, &bytes, &size));
    free (bytes);
    zmsg_addstr (message, "");
    CHECK_CODE (zspool_control_frame_encode (message, 1 << 20, &bytes, &size), ZSPOOL_ETOOBIG);
    zmsg_destroy (&message);
}

TEST (test_control_frame_header_of_another_kind_is_refused)
{
    uint8_t good [HEADER] = { 4, 0, 0, 0, 'Z', 'C', 1, 0 };
    size_t size = 77;
    CHECK_OK (zspool_control_frame_header (good, 4, &size));
    CHECK_EQ_U64 (size, 4);
    for (size_t index = 4; index < HEADER; index++) {
        uint8_t bad [HEADER];
        memcpy (bad, good, sizeof bad);
        bad [index]++;
        size = 77;
        CHECK_CODE (zspool_control_frame_header (bad, 4, &size),
                    index < 6? ZSPOOL_ECORRUPT: ZSPOOL_EVERSION);
        CHECK_EQ_U64 (size, 77);
    }
}

TEST (test_control_frame_body_that_does_not_add_up_is_refused)
{
    zmsg_t *message = NULL;
    uint8_t body [12] = { 0 };
    CHECK_CODE (s_decode (body, 0, &message), ZSPOOL_ECORRUPT);
    CHECK_CODE (s_decode (body, 3, &message), ZSPOOL_ECORRUPT);
    CHECK_CODE (s_decode (body, 5, &message), ZSPOOL_ECORRUPT);
    static const uint32_t lengths [] = { 9, 10, 1U << 31, UINT32_MAX - 3, UINT32_MAX };
    for (size_t index = 0; index < sizeof lengths / sizeof lengths [0]; index++) {
        put_u32 (body, lengths [index]);
        CHECK_CODE (s_decode (body, sizeof body, &message), ZSPOOL_ECORRUPT);
    }
    CHECK (message == NULL);
    //  One string more than there may be
    static uint8_t many [4 * (ZSPOOL_CONTROL_STRINGS_MAX + 1)];
    CHECK_CODE (s_decode (many, sizeof many, &message), ZSPOOL_ECORRUPT);
    CHECK_OK (s_decode (many, sizeof many - 4, &message));
    CHECK_EQ_U64 (zmsg_size (message), ZSPOOL_CONTROL_STRINGS_MAX);
    zmsg_destroy (&message);
}

TEST (test_control_frame_of_chance_is_refused_or_encodes_to_the_same)
{
    kit_chance_t chance = kit_chance_new ();
    uint64_t good = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t body [64];
        size_t size = kit_below (&chance, sizeof body + 1);
        for (size_t index = 0; index < size; index++)
            body [index] = kit_below (&chance, 3)? 0: (uint8_t) kit_below (&chance, 12);
        zmsg_t *message;
        if (s_decode (body, size, &message))
            continue;
        uint8_t *bytes;
        size_t encoded;
        CHECK_OK (zspool_control_frame_encode (message, sizeof body, &bytes, &encoded));
        CHECK_EQ_U64 (encoded, HEADER + size);
        CHECK (memcmp (bytes + HEADER, body, size) == 0);
        good++;
        free (bytes);
        zmsg_destroy (&message);
    }
    printf ("%" PRIu64 " of %d were messages\n", good, ROUNDS);
    CHECK (good > 100);
}
