//  test_zsp.c - tests of ZSP's codec: every command, every field's limits, every byte
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Frames are written here from the tables of doc/zsp.md, not with the codec: a frame is command,
//  flags and a line of fields. b, h, w and q are numbers of 1, 2, 4 and 8 bytes; s'me' and t'me'
//  texts with a length of 1 and 2 bytes, s#9 and t#9 such of nine letters; z is so many bytes that
//  must be 0; 3(...) means three times.

#include "fuzz/fuzz_zsp.h"
#include "kit.h"
#include "zsp.h"

#define FRAME_BYTES_MAX (512 * 1024)
#define ZEROS_MAX 64

typedef struct {
    uint8_t bytes [FRAME_BYTES_MAX];
    size_t size;
    size_t zeros [ZEROS_MAX]; //  where bytes lie that must be 0
    size_t zeros_count;
} s_frame_t;

typedef struct {
    uint8_t command;
    uint8_t flags; //  all that it may have
    const char *fields;
} s_sample_t;

static const s_sample_t s_samples [] = {
    { ZSP_HELLO, 0, "w2000 s'agent'" },
    { ZSP_OPEN, ZSP_FLAG_CREATE, "s'main'" },
    { ZSP_PRODUCE, 0, "w3 s'me'" },
    { ZSP_PUT, 0, "w1 q7 w2 b2 z3" },
    { ZSP_COMMIT, 0, "h2 h1 q9 w1 w3 w2 w4 q77 w5 w6 q3 q8" },
    { ZSP_SUBSCRIBE, ZSP_FLAG_CREATE | ZSP_FLAG_EXCLUSIVE,
      "w5 w1 w100 q65536 s'mine' s'first' h2 t'a' t'bc'" },
    { ZSP_CREDIT, 0, "w5 w10 q1000" },
    { ZSP_ACK, 0, "w5 w6 w0 h2 z2 q1 q4 q6 q6 s''" },
    { ZSP_REJECT, ZSP_FLAG_DEAD, "w5 w6 w500 h1 z2 q1 q4 s'broken'" },
    { ZSP_EXTEND, 0, "w5 w6 w1000 h1 z2 q1 q18446744073709551615 s''" },
    { ZSP_SEEK, 0, "w5 s'last'" },
    { ZSP_UNSUBSCRIBE, 0, "w5" },
    { ZSP_PING, 0, "" },
    { ZSP_STATUS, 0, "" },
    { ZSP_LIST, 0, "w1" },
    { ZSP_PURGE, 0, "w1 q8" },
    { ZSP_DELETE_CURSOR, 0, "w1 s'mine'" },
    { ZSP_FLUSH, 0, "" },
    { ZSP_BYE, 0, "" },
    { ZSP_WELCOME, 0, "w6000 q77 q88 w1000 w64 w8388608 b1 z3 s'main'" },
    { ZSP_OPENED, 0, "w1 q9" },
    { ZSP_PRODUCING, 0, "w3 q9 w65536" },
    { ZSP_CONFIRM, ZSP_FLAG_RESUME, "w65536 q9 q8" },
    { ZSP_HOLD, 0, "z4 q9" },
    { ZSP_SUBSCRIBED, ZSP_FLAG_ACTIVE, "w5 w6 q8" },
    { ZSP_DELIVER, 0, "w5 w6 h2 z2 q1 q1700000000000000 w3 h1 z2 q9 q1700000000000001 w1 h2 z2" },
    { ZSP_DONE, 0, "z4 q9" },
    { ZSP_PONG, 0, "" },
    { ZSP_VALUES, 0, "h2 t'name' t'value' t'x' t''" },
    { ZSP_ERROR, ZSP_FLAG_FATAL, "h25 b4 z1 q9 s'why'" },
};
#define SAMPLES (sizeof s_samples / sizeof s_samples [0])

//  ------------------------------------------------------------------------------------------------
//  Writing frames

static void
s_put (s_frame_t *frame, uint64_t value, size_t bytes)
{
    CHECK (frame->size + bytes <= sizeof frame->bytes);
    for (; bytes > 0; bytes--, value >>= 8)
        frame->bytes [frame->size++] = (uint8_t) value;
}

//  A text: 'of these letters' or #of so many. Gives what comes behind it.
static const char *
s_put_text (s_frame_t *frame, const char *at, size_t length_bytes)
{
    char *end;
    if (*at == '#') {
        size_t size = strtoul (at + 1, &end, 10);
        s_put (frame, size, length_bytes);
        for (; size > 0; size--)
            s_put (frame, 'x', 1);
        return end;
    }
    CHECK (*at == '\'' && strchr (at + 1, '\''));
    size_t size = (size_t) (strchr (at + 1, '\'') - at - 1);
    s_put (frame, size, length_bytes);
    for (size_t index = 0; index < size; index++)
        s_put (frame, (uint8_t) at [1 + index], 1);
    return at + size + 2;
}

static const char *
s_put_fields (s_frame_t *frame, const char *at)
{
    char *end;
    while (*at && *at != ')') {
        char kind = *at;
        if (kind == ' ')
            at++;
        else if (kind == 's' || kind == 't')
            at = s_put_text (frame, at + 1, kind == 's'? 1: 2);
        else if (kind >= '0' && kind <= '9') {
            unsigned long times = strtoul (at, &end, 10);
            CHECK (times > 0 && *end == '(');
            for (; times > 0; times--)
                at = s_put_fields (frame, end + 1);
            at++;
        }
        else {
            uint64_t value = strtoull (at + 1, &end, 10);
            size_t bytes = kind == 'z'   ? value
                           : kind == 'b'? 1
                           : kind == 'h'? 2
                           : kind == 'w'? 4
                                         : 8;
            for (size_t index = 0; kind == 'z' && index < bytes && frame->zeros_count < ZEROS_MAX;
                 index++)
                frame->zeros [frame->zeros_count++] = frame->size + index;
            s_put (frame, kind == 'z'? 0: value, bytes);
            at = end;
        }
    }
    return at;
}

static void
s_write (s_frame_t *frame, uint8_t command, uint8_t flags, const char *fields)
{
    frame->size = frame->zeros_count = 0;
    s_put_fields (frame, "b90 b83 b80 b1");
    s_put (frame, command, 1);
    s_put (frame, flags, 1);
    s_put_fields (frame, "z2 w305419896");
    s_put_fields (frame, fields);
}

//  Whether a frame is accepted, from memory of its exact size
static bool
s_is_accepted (const uint8_t *bytes, size_t size)
{
    uint8_t *exactly = (uint8_t *) malloc (size? size: 1);
    CHECK (exactly);
    memcpy (exactly, bytes, size);
    bool accepted = fuzz_zsp_frame (exactly, size);
    free (exactly);
    return accepted;
}

static void
s_check (uint8_t command, uint8_t flags, const char *fields, bool expected)
{
    static s_frame_t frame;
    s_write (&frame, command, flags, fields);
    printf ("%s %u %s\n", zsp_command_name (command), flags, fields);
    CHECK (s_is_accepted (frame.bytes, frame.size) == expected);
}

//  ------------------------------------------------------------------------------------------------
//  Whole frames

TEST (test_zsp_every_command_is_read_and_written_as_documented)
{
    for (size_t index = 0; index < SAMPLES; index++) {
        s_check (s_samples [index].command, 0, s_samples [index].fields, true);
        s_check (s_samples [index].command, s_samples [index].flags, s_samples [index].fields,
                 true);
    }
}

TEST (test_zsp_command_cut_at_any_byte_or_longer_is_refused)
{
    static s_frame_t frame;
    for (size_t index = 0; index < SAMPLES; index++) {
        s_write (&frame, s_samples [index].command, 0, s_samples [index].fields);
        for (size_t size = 0; size < frame.size; size++)
            CHECK (!s_is_accepted (frame.bytes, size));
        s_put (&frame, 0, 1);
        CHECK (!s_is_accepted (frame.bytes, frame.size));
    }
}

TEST (test_zsp_bytes_that_must_be_zero_are_looked_at)
{
    static s_frame_t frame;
    size_t zeros = 0;
    for (size_t index = 0; index < SAMPLES; index++) {
        s_write (&frame, s_samples [index].command, 0, s_samples [index].fields);
        for (size_t at = 0; at < frame.zeros_count; at++, zeros++)
            for (int bit = 0; bit < 8; bit++) {
                frame.bytes [frame.zeros [at]] = (uint8_t) (1 << bit);
                CHECK (!s_is_accepted (frame.bytes, frame.size));
                frame.bytes [frame.zeros [at]] = 0;
            }
    }
    CHECK (zeros > 2 * SAMPLES);
}

TEST (test_zsp_header_of_another_kind_is_refused)
{
    static s_frame_t frame;
    zsp_t command;
    s_write (&frame, ZSP_PING, 0, "");
    for (size_t at = 0; at < 3; at++) {
        frame.bytes [at] ^= 0x20;
        CHECK_CODE (zsp_decode (&command, frame.bytes, frame.size), ZSPOOL_ECORRUPT);
        frame.bytes [at] ^= 0x20;
    }
    for (unsigned version = 0; version < 256; version++) {
        frame.bytes [3] = (uint8_t) version;
        CHECK_CODE (zsp_decode (&command, frame.bytes, frame.size),
                    version == 1? ZSPOOL_OK: ZSPOOL_EVERSION);
    }
    frame.bytes [3] = 1;
    CHECK_OK (zsp_decode (&command, frame.bytes, frame.size));
    CHECK_EQ_U64 (command.request, 0x12345678);
    s_write (&frame, ZSP_VALUES, 0, "h5 t#0 t#65535 t#0 t#65535 t#0 t#65535 t#0 t#65505 t#0 t#0");
    CHECK_EQ_U64 (frame.size, ZSP_COMMAND_BYTES_MAX);
    CHECK_OK (zsp_decode (&command, frame.bytes, frame.size));
    s_write (&frame, ZSP_VALUES, 0, "h5 t#0 t#65535 t#0 t#65535 t#0 t#65535 t#0 t#65505 t#0 t#1");
    CHECK_CODE (zsp_decode (&command, frame.bytes, frame.size), ZSPOOL_ECORRUPT);
}

TEST (test_zsp_unknown_commands_and_flags_are_refused)
{
    const s_sample_t *samples [256] = { NULL };
    for (size_t index = 0; index < SAMPLES; index++)
        samples [s_samples [index].command] = &s_samples [index];
    for (unsigned command = 0; command < 256; command++) {
        const s_sample_t *sample = samples [command];
        CHECK ((*zsp_command_name ((uint8_t) command) == '?') == !sample);
        if (!sample)
            s_check ((uint8_t) command, 0, "", false);
        for (unsigned flags = 0; sample && flags < 256; flags++)
            s_check ((uint8_t) command, (uint8_t) flags, sample->fields,
                     !(flags & ~(unsigned) sample->flags));
    }
}

//  Every bit of every sample, turned round: either it is refused, or it is the one way of writing
//  what it says, which fuzz_zsp_frame () checks.
TEST (test_zsp_command_with_any_bit_turned_is_refused_or_another_command)
{
    static s_frame_t frame;
    unsigned accepted = 0, refused = 0;
    for (size_t index = 0; index < SAMPLES; index++) {
        s_write (&frame, s_samples [index].command, 0, s_samples [index].fields);
        for (size_t bit = 0; bit < 8 * frame.size; bit++) {
            frame.bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
            if (s_is_accepted (frame.bytes, frame.size))
                accepted++;
            else
                refused++;
            frame.bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
    }
    printf ("%u accepted, %u refused\n", accepted, refused);
    CHECK (accepted > 0 && refused > 0);
}

TEST (test_zsp_command_with_random_damage_never_does_harm)
{
    static s_frame_t frame;
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < (SELFTEST_TSAN? 20000: 200000); round++) {
        const s_sample_t *sample = &s_samples [kit_below (&chance, SAMPLES)];
        s_write (&frame, sample->command, 0, sample->fields);
        for (uint64_t count = 1 + kit_below (&chance, 4); count > 0; count--)
            frame.bytes [kit_below (&chance, frame.size)] = (uint8_t) kit_random (&chance);
        if (kit_below (&chance, 4) == 0)
            frame.size = kit_below (&chance, frame.size + 8);
        s_is_accepted (frame.bytes, frame.size);
    }
}

//  ------------------------------------------------------------------------------------------------
//  Fields

TEST (test_zsp_limits_of_numbers_are_kept)
{
    s_check (ZSP_HELLO, 0, "w99 s''", false);
    s_check (ZSP_HELLO, 0, "w100 s''", true);
    s_check (ZSP_HELLO, 0, "w60000 s''", true);
    s_check (ZSP_HELLO, 0, "w60001 s''", false);
    s_check (ZSP_WELCOME, 0, "w6000 q77 q88 w1000 w64 w8388608 b2 z3 s'main'", true);
    s_check (ZSP_WELCOME, 0, "w6000 q77 q88 w1000 w64 w8388608 b3 z3 s'main'", false);
    s_check (ZSP_PUT, 0, "w1 q0 w1 b0 z3", false);
    s_check (ZSP_PUT, 0, "w1 q1 w0 b0 z3", false);
    s_check (ZSP_PUT, 0, "w1 q1 w32768 b0 z3", true);
    s_check (ZSP_PUT, 0, "w1 q1 w32769 b0 z3", false);
    s_check (ZSP_PUT, 0, "w1 q1 w1 b3 z3", false);
    s_check (ZSP_PUT, 0, "w1 q18446744073709551614 w1 b0 z3", true);
    s_check (ZSP_PUT, 0, "w1 q18446744073709551615 w1 b0 z3", false);
    s_check (ZSP_PUT, 0, "w1 q18446744073709551614 w2 b0 z3", false);
}

TEST (test_zsp_limits_of_names_and_texts_are_kept)
{
    s_check (ZSP_OPEN, 0, "s#0", false);
    s_check (ZSP_OPEN, 0, "s#127", true);
    s_check (ZSP_OPEN, 0, "s#128", false);
    s_check (ZSP_PRODUCE, 0, "w0 s#0", true);
    s_check (ZSP_PRODUCE, 0, "w0 s#128", false);
    s_check (ZSP_WELCOME, 0, "w6000 q77 q88 w1000 w64 w8388608 b0 z3 s#0", false);
    s_check (ZSP_DELETE_CURSOR, 0, "w1 s#0", false);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w100 q65536 s#0 s#0 h0", false);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w100 q65536 s#1 s#255 h0", true);
    s_check (ZSP_HELLO, 0, "w100 s#255", true);
    s_check (ZSP_ERROR, 0, "h25 b4 z1 q9 s#255", true);
    for (unsigned letter = 0; letter < 256; letter++) {
        char fields [] = "b3 b97 b000 b98";
        snprintf (fields, sizeof fields, "b3 b97 b%u b98", letter);
        s_check (ZSP_OPEN, 0, fields, letter >= 33 && letter != '/');
    }
}

TEST (test_zsp_limits_of_transactions_are_kept)
{
    s_check (ZSP_COMMIT, 0, "h0 h0 q1", false);
    s_check (ZSP_COMMIT, 0, "h1 h0 q0 w1 w1", false);
    s_check (ZSP_COMMIT, 0, "h1 h0 q18446744073709551614 w1 w1", true);
    s_check (ZSP_COMMIT, 0, "h1 h0 q18446744073709551615 w1 w1", false);
    s_check (ZSP_COMMIT, 0, "h1 h0 q1 w1 w0", false);
    s_check (ZSP_COMMIT, 0, "h1 h0 q1 w1 w32769", false);
    s_check (ZSP_COMMIT, 0, "h64 h0 q1 64(w1 w32768)", true);
    s_check (ZSP_COMMIT, 0, "h65 h0 q1 65(w1 w1)", false);
    s_check (ZSP_COMMIT, 0, "h0 h1 q1 q7 w1 w1 q0 q1", false);
    s_check (ZSP_COMMIT, 0, "h0 h1 q1 q7 w1 w1 q3 q2", false);
    s_check (ZSP_COMMIT, 0, "h0 h1 q1 q7 w1 w1 q3 q3", true);
    s_check (ZSP_COMMIT, 0, "h64 h4096 q1 64(w1 w32768) 4096(q7 w1 w1 q1 q18446744073709551615)",
             true);
    s_check (ZSP_COMMIT, 0, "h0 h4097 q1 4097(q7 w1 w1 q1 q1)", false);
    s_check (ZSP_COMMIT, 0, "h0 h2 q1 q7 w1 w1 q1 q1 q7 w1 w1 q0 q0", false);
}

TEST (test_zsp_limits_of_what_consumers_say_are_kept)
{
    s_check (ZSP_ACK, 0, "w5 w6 w0 h0 z2 s''", false);
    s_check (ZSP_ACK, 0, "w5 w6 w0 h4096 z2 4096(q1 q1) s#255", true);
    s_check (ZSP_ACK, 0, "w5 w6 w0 h4097 z2 4097(q1 q1) s''", false);
    s_check (ZSP_ACK, 0, "w5 w6 w0 h1 z2 q0 q1 s''", false);
    s_check (ZSP_ACK, 0, "w5 w6 w0 h2 z2 q1 q1 q5 q4 s''", false);
    s_check (ZSP_EXTEND, 0, "w5 w6 w86400000 h1 z2 q1 q1 s''", true);
    s_check (ZSP_EXTEND, 0, "w5 w6 w86400001 h1 z2 q1 q1 s''", false);
    s_check (ZSP_REJECT, 0, "w5 w6 w86400001 h1 z2 q1 q1 s''", false);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w0 q0 s'mine' s'' h256 256(t#1)", true);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w0 q0 s'mine' s'' h257 257(t#1)", false);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w0 q0 s'mine' s'' h1 t#1023", true);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w0 q0 s'mine' s'' h1 t#1024", false);
    s_check (ZSP_SUBSCRIBE, 0, "w5 w1 w0 q0 s'mine' s'' h2 t#1", false);
}

TEST (test_zsp_limits_of_deliveries_are_kept)
{
    s_check (ZSP_DELIVER, 0, "w5 w6 h0 z2", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h256 z2 256(q1 q0 w32768 h65535 h0)", true);
    s_check (ZSP_DELIVER, 0, "w5 w6 h257 z2 257(q1 q0 w1 h1 h0)", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q0 q0 w1 h1 h0", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q1 q0 w0 h1 h0", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q1 q0 w32769 h1 h0", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q1 q0 w1 h0 h0", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h2 z2 q1 q0 w1 h1 h0 q2 q0 w1 h1 h256", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q18446744073709551614 q0 w1 h1 h0", true);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q18446744073709551615 q0 w1 h1 h0", false);
    s_check (ZSP_DELIVER, 0, "w5 w6 h1 z2 q1 q18446744073709551615 w1 h1 h0", true);
}

//  ------------------------------------------------------------------------------------------------
//  What is read is in the fields that have its name

static zsp_t
s_decode (uint8_t command)
{
    static s_frame_t frame;
    zsp_t decoded;
    for (size_t index = 0; index < SAMPLES; index++)
        if (s_samples [index].command == command)
            s_write (&frame, command, s_samples [index].flags, s_samples [index].fields);
    CHECK_OK (zsp_decode (&decoded, frame.bytes, frame.size));
    CHECK_EQ_U64 (decoded.command, command);
    CHECK_EQ_U64 (decoded.request, 0x12345678);
    return decoded;
}

static void
s_check_text (zsp_text_t text, const char *expected)
{
    char copy [64];
    zsp_text_copy (copy, sizeof copy, text);
    CHECK_EQ_STR (copy, expected);
    CHECK_EQ_U64 (text.size, strlen (expected));
}

TEST (test_zsp_fields_of_producers_are_told_apart)
{
    zsp_t put = s_decode (ZSP_PUT), commit = s_decode (ZSP_COMMIT),
          produce = s_decode (ZSP_PRODUCE);
    CHECK_EQ_U64 (put.as.put.spool, 1);
    CHECK_EQ_U64 (put.as.put.number, 7);
    CHECK_EQ_U64 (put.as.put.count, 2);
    CHECK_EQ_U64 (put.as.put.level, ZSP_LEVEL_COMMITTED);
    CHECK_EQ_U64 (produce.as.produce.epoch, 3);
    s_check_text (s_decode (ZSP_PRODUCE).as.produce.name, "me");
    commit = s_decode (ZSP_COMMIT);
    CHECK_EQ_U64 (commit.as.commit.number, 9);
    CHECK_EQ_U64 (zsp_part (&commit, 1).spool, 2);
    CHECK_EQ_U64 (zsp_part (&commit, 1).count, 4);
    zsp_acked_t acked = zsp_acked (&commit, 0);
    CHECK_EQ_U64 (acked.session, 77);
    CHECK_EQ_U64 (acked.subscription, 5);
    CHECK_EQ_U64 (acked.generation, 6);
    CHECK_EQ_U64 (acked.range.first, 3);
    CHECK_EQ_U64 (acked.range.last, 8);
    zsp_t producing = s_decode (ZSP_PRODUCING), confirm = s_decode (ZSP_CONFIRM),
          hold = s_decode (ZSP_HOLD);
    CHECK_EQ_U64 (producing.as.producing.epoch, 3);
    CHECK_EQ_U64 (producing.as.producing.last, 9);
    CHECK_EQ_U64 (producing.as.producing.window_bytes, 65536);
    CHECK_EQ_U64 (confirm.flags, ZSP_FLAG_RESUME);
    CHECK_EQ_U64 (confirm.as.confirm.cached, 9);
    CHECK_EQ_U64 (confirm.as.confirm.committed, 8);
    CHECK_EQ_U64 (confirm.as.confirm.window_bytes, 65536);
    CHECK_EQ_U64 (hold.as.hold.number, 9);
    CHECK_EQ_U64 (s_decode (ZSP_DONE).as.done.number, 9);
}

TEST (test_zsp_fields_of_consumers_are_told_apart)
{
    zsp_t subscribe = s_decode (ZSP_SUBSCRIBE);
    const uint8_t *at = NULL;
    CHECK_EQ_U64 (subscribe.flags, ZSP_FLAG_CREATE | ZSP_FLAG_EXCLUSIVE);
    CHECK_EQ_U64 (subscribe.as.subscribe.subscription, 5);
    CHECK_EQ_U64 (subscribe.as.subscribe.spool, 1);
    CHECK_EQ_U64 (subscribe.as.subscribe.messages, 100);
    CHECK_EQ_U64 (subscribe.as.subscribe.bytes, 65536);
    s_check_text (subscribe.as.subscribe.cursor, "mine");
    s_check_text (subscribe.as.subscribe.start, "first");
    s_check_text (zsp_filter (&subscribe, &at), "a");
    s_check_text (zsp_filter (&subscribe, &at), "bc");
    zsp_t credit = s_decode (ZSP_CREDIT);
    CHECK_EQ_U64 (credit.as.credit.subscription, 5);
    CHECK_EQ_U64 (credit.as.credit.messages, 10);
    CHECK_EQ_U64 (credit.as.credit.bytes, 1000);
    zsp_t subscribed = s_decode (ZSP_SUBSCRIBED);
    CHECK_EQ_U64 (subscribed.as.subscribed.subscription, 5);
    CHECK_EQ_U64 (subscribed.as.subscribed.generation, 6);
    CHECK_EQ_U64 (subscribed.as.subscribed.floor, 8);
    zsp_t deliver = s_decode (ZSP_DELIVER);
    zsp_slice_t slice = zsp_slice (&deliver, 1);
    CHECK_EQ_U64 (slice.first, 9);
    CHECK_EQ_I64 (slice.stored_us, 1700000000000001);
    CHECK_EQ_U64 (slice.count, 1);
    CHECK_EQ_U64 (slice.deliveries, 2);
    zsp_t reject = s_decode (ZSP_REJECT);
    CHECK_EQ_U64 (reject.as.ranges.subscription, 5);
    CHECK_EQ_U64 (reject.as.ranges.generation, 6);
    CHECK_EQ_U64 (reject.as.ranges.time_ms, 500);
    CHECK_EQ_U64 (zsp_range (&reject, 0).last, 4);
    s_check_text (reject.as.ranges.reason, "broken");
    zsp_t seek = s_decode (ZSP_SEEK);
    CHECK_EQ_U64 (seek.as.seek.subscription, 5);
    s_check_text (seek.as.seek.start, "last");
}

TEST (test_zsp_fields_of_sessions_and_administration_are_told_apart)
{
    zsp_t welcome = s_decode (ZSP_WELCOME);
    CHECK_EQ_U64 (welcome.as.welcome.expiry_ms, 6000);
    CHECK_EQ_U64 (welcome.as.welcome.session, 77);
    CHECK_EQ_U64 (welcome.as.welcome.incarnation, 88);
    CHECK_EQ_U64 (welcome.as.welcome.message_bytes_max, 1000);
    CHECK_EQ_U64 (welcome.as.welcome.message_frames_max, 64);
    CHECK_EQ_U64 (welcome.as.welcome.transaction_bytes_max, 8388608);
    CHECK_EQ_U64 (welcome.as.welcome.durability, 1);
    s_check_text (welcome.as.welcome.spool, "main");
    zsp_t opened = s_decode (ZSP_OPENED);
    CHECK_EQ_U64 (opened.as.opened.spool, 1);
    CHECK_EQ_U64 (opened.as.opened.last_sequence, 9);
    zsp_t purge = s_decode (ZSP_PURGE);
    CHECK_EQ_U64 (purge.as.purge.spool, 1);
    CHECK_EQ_U64 (purge.as.purge.sequence, 8);
    zsp_t error = s_decode (ZSP_ERROR);
    CHECK_EQ_U64 (error.flags, ZSP_FLAG_FATAL);
    CHECK_EQ_U64 (error.as.error.code, 25);
    CHECK_EQ_U64 (error.as.error.about, ZSP_PUT);
    CHECK_EQ_U64 (error.as.error.number, 9);
    s_check_text (error.as.error.text, "why");
    zsp_t values = s_decode (ZSP_VALUES);
    zsp_text_t name, value;
    const uint8_t *at = NULL;
    zsp_pair (&values, &at, &name, &value);
    s_check_text (name, "name");
    s_check_text (value, "value");
    zsp_pair (&values, &at, &name, &value);
    s_check_text (name, "x");
    s_check_text (value, "");
}
