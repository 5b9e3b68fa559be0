//  zsp.h - ZSP, the service protocol: commands, their fields, and a codec for both sides
//
//  SPDX-License-Identifier: MPL-2.0
//
//  doc/zsp.md is the specification; this is what of it is code. A ZSP message is a command frame,
//  and behind PUT, COMMIT and DELIVER so many frames of records. Pure memory: knows no socket.
//
//  Decoding checks everything: magic, version, zeros where zeros must be, every length and limit,
//  and that no byte is left over. What a decoded command points to lies in the frame. Encoding
//  asserts the limits: its callers keep to them.

#ifndef ZSPOOL_ZSP_H_INCLUDED
#define ZSPOOL_ZSP_H_INCLUDED

#include "zspool_library.h"

#define ZSP_VERSION 1
#define ZSP_HEADER_BYTES 12

//  Limits of the protocol
#define ZSP_COMMAND_BYTES_MAX (256 * 1024)  //  of a command frame
#define ZSP_NAME_BYTES_MAX 127              //  of a spool, a cursor or a producer
#define ZSP_TEXT_BYTES_MAX 255              //  of other texts
#define ZSP_RUN_MESSAGES_MAX (32 * 1024)    //  in a frame of records
#define ZSP_RUN_BYTES (512 * 1024)          //  of records in a frame with more than one message
#define ZSP_PARTS_MAX 64                    //  frames of records of a COMMIT
#define ZSP_SLICES_MAX 256                  //  of a DELIVER
#define ZSP_RANGES_MAX 4096                 //  of an ACK, REJECT, EXTEND; acknowledgements of a COMMIT
#define ZSP_FILTERS_MAX 256                 //  of a SUBSCRIBE
#define ZSP_FILTER_BYTES_MAX 1023           //  of one filter
#define ZSP_FILTERS_BYTES_MAX (250 * 1024)  //  of all filters: what more would not fit in the command
#define ZSP_TIME_MS_MAX 86400000            //  of a REJECT or EXTEND
#define ZSP_TRANSACTION_BYTES_MAX (8 * 1024 * 1024) //  of all records of a COMMIT
#define ZSP_HEARTBEAT_MS_MIN 100
#define ZSP_HEARTBEAT_MS_MAX 60000
#define ZSP_HEARTBEAT_MS 2000               //  usual
#define ZSP_EXPIRY_HEARTBEATS 3             //  who is silent for so many is gone

//  Commands. Those of the service have the highest bit.
typedef enum {
    ZSP_HELLO = 0x01,
    ZSP_OPEN = 0x02,
    ZSP_PRODUCE = 0x03,
    ZSP_PUT = 0x04,
    ZSP_COMMIT = 0x05,
    ZSP_SUBSCRIBE = 0x06,
    ZSP_CREDIT = 0x07,
    ZSP_ACK = 0x08,
    ZSP_REJECT = 0x09,
    ZSP_EXTEND = 0x0a,
    ZSP_SEEK = 0x0b,
    ZSP_UNSUBSCRIBE = 0x0c,
    ZSP_PING = 0x0d,
    ZSP_STATUS = 0x0e,
    ZSP_LIST = 0x0f,
    ZSP_PURGE = 0x10,
    ZSP_DELETE_CURSOR = 0x11,
    ZSP_FLUSH = 0x12,
    ZSP_BYE = 0x13,
    ZSP_WELCOME = 0x81,    //  answers HELLO
    ZSP_OPENED = 0x82,     //  answers OPEN
    ZSP_PRODUCING = 0x83,  //  answers PRODUCE
    ZSP_CONFIRM = 0x84,    //  unasked: how far a producer's messages have got
    ZSP_HOLD = 0x85,       //  unasked: a PUT was not taken; wait
    ZSP_SUBSCRIBED = 0x86, //  answers SUBSCRIBE and SEEK; unasked: somebody has moved the cursor, or active changed
    ZSP_DELIVER = 0x87,    //  unasked
    ZSP_DONE = 0x88,       //  answers what has no answer of its own
    ZSP_PONG = 0x8d,       //  answers PING
    ZSP_VALUES = 0x8e,     //  answers STATUS and LIST
    ZSP_ERROR = 0xff
} zsp_command_t;

//  Flags, each of one command
#define ZSP_FLAG_CREATE 1        //  OPEN, SUBSCRIBE: create the spool, the cursor, when it is not there
#define ZSP_FLAG_EXCLUSIVE 2     //  SUBSCRIBE: one consumer of the cursor is active at a time
#define ZSP_FLAG_DEAD 1          //  REJECT: to the dead letters
#define ZSP_FLAG_RESUME 1        //  CONFIRM: go on from committed and taken messages: the HOLD has ended
#define ZSP_FLAG_ACTIVE 1        //  SUBSCRIBED: this consumer gets messages
#define ZSP_FLAG_FATAL 1         //  ERROR: the session has ended

//  How far a message must have got for its producer to be told
typedef enum {
    ZSP_LEVEL_DEFAULT = 0,       //  cached under async, else committed
    ZSP_LEVEL_CACHED = 1,
    ZSP_LEVEL_COMMITTED = 2
} zsp_level_t;

//  Borrowed bytes that are no C string
typedef struct {
    const char *data;
    size_t size;
} zsp_text_t;

//  Copy a text, as much of it as there is room for, into a C string.
void
    zsp_text_copy (char *to, size_t size, zsp_text_t text);

//  A stretch of sequences, both included
typedef struct {
    uint64_t first;
    uint64_t last;
} zsp_range_t;

//  COMMIT: one frame of records
typedef struct {
    uint32_t spool;
    uint32_t count;              //  messages in it, 1 to ZSP_RUN_MESSAGES_MAX
} zsp_part_t;

//  COMMIT: deliveries that it acknowledges. All of them must be held by that subscription.
typedef struct {
    uint64_t session;
    uint32_t subscription;
    uint32_t generation;
    zsp_range_t range;
} zsp_acked_t;

//  DELIVER: one frame of records, consecutive messages of one block
typedef struct {
    uint64_t first;              //  sequence
    int64_t stored_us;           //  microseconds since 1970, UTC
    uint32_t count;              //  messages
    uint16_t deliveries;         //  which delivery of each of them this is, from 1, at least
} zsp_slice_t;

//  Any command, decoded; or to be encoded. Only the fields of its command mean anything.
typedef struct {
    uint8_t command;             //  zsp_command_t
    uint8_t flags;
    uint32_t request;            //  of who asks, and in what answers; 0: no answer but ERROR is wanted
    union {
        struct {
            uint32_t heartbeat_ms;
            zsp_text_t agent;          //  who that is, for people; 0 to 255 bytes
        } hello;
        struct {
            uint64_t session;
            uint64_t incarnation;      //  of the store
            uint32_t expiry_ms;        //  a client is gone, and a service, that is silent so long
            uint32_t message_bytes_max;
            uint32_t message_frames_max;
            uint32_t transaction_bytes_max;
            uint8_t durability;        //  0 sync, 1 async, 2 transaction
            zsp_text_t spool;          //  the device's own
        } welcome;
        struct {
            zsp_text_t spool;
        } open;
        struct {
            uint32_t spool;            //  what other commands call it by
            uint64_t last_sequence;    //  newest message stored; 0: none ever was
        } opened;
        struct {
            uint32_t epoch;            //  0: a new producer, which fences older ones; else as PRODUCING gave it
            zsp_text_t name;           //  empty: without a name
        } produce;
        struct {
            uint32_t epoch;
            uint64_t last;             //  number of its last message taken; 0: none
            uint32_t window_bytes;     //  of records that it should have unconfirmed at most
        } producing;
        struct {
            uint64_t number;           //  of the first message; the others follow
            uint32_t spool;
            uint32_t count;            //  messages in the frame of records
            uint8_t level;             //  zsp_level_t
        } put;
        struct {
            uint64_t cached;           //  all messages up to this number are in the device's memory at least
            uint64_t committed;        //  durable
            uint32_t window_bytes;     //  as in PRODUCING
        } confirm;
        struct {
            uint64_t number;           //  first one that was not taken
        } hold;
        struct {
            uint64_t number;           //  of the transaction: one in the producer's line
            uint16_t parts_count;
            uint16_t acks_count;
            const uint8_t *parts;      //  zsp_part (), zsp_acked ()
            const uint8_t *acks;
        } commit;
        struct {
            uint32_t subscription;     //  number that the client gives it
            uint32_t spool;
            uint32_t messages;         //  first credit
            uint64_t bytes;            //  likewise, of records
            zsp_text_t cursor;
            zsp_text_t start;          //  of a cursor that is created, as zspool_start_parse () takes it
            uint16_t filters_count;
            const uint8_t *filters;    //  zsp_filter ()
        } subscribe;
        struct {
            uint32_t subscription;
            uint32_t generation;       //  of the cursor
            uint64_t floor;            //  of the cursor
        } subscribed;
        struct {
            uint32_t subscription;
            uint32_t messages;         //  credit that is added
            uint64_t bytes;
        } credit;
        struct {
            uint32_t subscription;
            uint32_t generation;
            uint16_t slices_count;
            const uint8_t *slices;     //  zsp_slice ()
        } deliver;
        struct {
            uint32_t subscription;
            uint32_t generation;
            uint32_t time_ms;          //  REJECT: until it is delivered again; EXTEND: from now
            uint16_t ranges_count;
            const uint8_t *ranges;     //  zsp_range ()
            zsp_text_t reason;         //  REJECT with ZSP_FLAG_DEAD
        } ranges;                      //  ACK, REJECT, EXTEND
        struct {
            uint32_t subscription;
            zsp_text_t start;
        } seek;
        struct {
            uint32_t subscription;
        } unsubscribe;
        struct {
            uint32_t spool;            //  0: of all spools; else of the cursors of this one
        } list;
        struct {
            uint32_t spool;
            uint64_t sequence;         //  up to here
        } purge;
        struct {
            uint32_t spool;
            zsp_text_t cursor;
        } delete_cursor;
        struct {
            uint64_t number;           //  COMMIT: its number; else 0
        } done;
        struct {
            uint16_t count;            //  pairs
            const uint8_t *pairs;      //  zsp_pair ()
        } values;
        struct {
            uint16_t code;             //  minus a code of zspool_error_t
            uint8_t about;             //  command that it is about
            uint64_t number;           //  PUT, COMMIT: its number; ACK and the like: first sequence refused
            zsp_text_t text;           //  for people
        } error;
    } as;
} zsp_t;

//  Decode a command frame. ECORRUPT: it is none; EVERSION: of another version.
int
    zsp_decode (zsp_t *self, const void *data, size_t size);

//  Encode a command whose lists are in the arrays beside. Returns the bytes it takes, at most
//  ZSP_COMMAND_BYTES_MAX; nothing is written when `to` is NULL. Lists that `self` would point to are
//  given as arrays here; NULL where its command has none.
typedef struct {
    const zsp_part_t *parts;           //  COMMIT
    const zsp_acked_t *acks;           //  COMMIT
    const zsp_slice_t *slices;         //  DELIVER
    const zsp_range_t *ranges;         //  ACK, REJECT, EXTEND
    const zsp_text_t *filters;         //  SUBSCRIBE
    const zsp_text_t *pairs;           //  VALUES: name and value in turn
} zsp_lists_t;

size_t
    zsp_encode (const zsp_t *self, const zsp_lists_t *lists, uint8_t *to);

//  An item of a list of a decoded command, by its number. Filters and pairs, which have no fixed
//  size, are taken in turn: *at is NULL before the first.
zsp_part_t
    zsp_part (const zsp_t *self, size_t index);
zsp_acked_t
    zsp_acked (const zsp_t *self, size_t index);
zsp_slice_t
    zsp_slice (const zsp_t *self, size_t index);
zsp_range_t
    zsp_range (const zsp_t *self, size_t index);
zsp_text_t
    zsp_filter (const zsp_t *self, const uint8_t **at);
void
    zsp_pair (const zsp_t *self, const uint8_t **at, zsp_text_t *name, zsp_text_t *value);

//  The name of a command, for people; "?" when there is none.
const char *
    zsp_command_name (uint8_t command);

#endif
