//  trial.h - what `zspool bench` measures: the parts of the timing model, and a device as a whole
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Everything happens in a directory that the caller has made and will remove. A signal (stop.h)
//  ends a trial early; so does a failure, which is reported. For the main thread.

#ifndef TRIAL_H_INCLUDED
#define TRIAL_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRIAL_SIZE_MIN 8                    //  a message's number must fit
#define TRIAL_SIZE_MAX (16 * 1024 * 1024)

//  Times of one kind, microseconds
typedef struct {
    double p50;
    double p99;
    size_t count;         //  how many were measured
} trial_times_t;

//  A stream's block of messages: as many as the device puts into one
typedef struct {
    const char *directory;    //  where to measure
    size_t size;              //  of a message, bytes
    double seconds;           //  each measurement takes so long
} trial_t;

//  Messages of this size in the block of a stream
uint32_t
    trial_block_messages (size_t size);

//  t1: pack so many messages into a block and seal it. 0, or -1 when that failed or a signal came.
int
    trial_cache (const trial_t *self, uint32_t messages, trial_times_t *t1);

//  t2: commit a block of so many messages, fsynced; with_ack: and acknowledge the block before it
//  in the same transaction. Likewise.
int
    trial_store (const trial_t *self, uint32_t messages, bool with_ack, trial_times_t *t2);

//  What a device does, from the sending of a message to its receipt over tcp on this machine
typedef struct {
    trial_times_t latency;        //  one message at a time
    double rate;                  //  of a stream, messages a second
    double commit_messages;       //  of the stream, in half of the commits at most
    double t1_us; //  as the device measured them, half of the stream's messages at most
    double t2_us;
} trial_device_t;

//  Let a device with this durability run. Likewise.
int
    trial_device (const trial_t *self, const char *durability, trial_device_t *result);

#endif
