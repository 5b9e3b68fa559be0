//  zspool_library.h - version, symbol visibility and errors of libzspool
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_LIBRARY_H_INCLUDED
#define ZSPOOL_LIBRARY_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZSPOOL_VERSION_MAJOR 0
#define ZSPOOL_VERSION_MINOR 1
#define ZSPOOL_VERSION_PATCH 0
#define ZSPOOL_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define ZSPOOL_EXPORT __attribute__ ((visibility ("default")))
#else
#define ZSPOOL_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

//  Every fallible function of this library returns ZSPOOL_OK (0) or one of these negative codes,
//  and leaves its outputs untouched on failure.
typedef enum {
    ZSPOOL_OK = 0,
    ZSPOOL_EINVAL = -1,     //  an argument or an option is out of its range, or a call out of order
    ZSPOOL_ENOMEM = -2,     //  memory could not be had
    ZSPOOL_ENOENT = -3,     //  no such spool, cursor, message or file; also the end of a spool
    ZSPOOL_EEXIST = -4,     //  that name is taken
    ZSPOOL_ECORRUPT = -5,   //  bytes fail their checksum or their layout
    ZSPOOL_EVERSION = -6,   //  written by a newer version of zspool
    ZSPOOL_ENOTSTORE = -7,  //  the directory holds something that is not a zspool store
    ZSPOOL_ELOCKED = -8,    //  another process writes this store
    ZSPOOL_EOPEN = -9,      //  this process has the store open already
    ZSPOOL_EACCES = -10,    //  permission denied
    ZSPOOL_EREMOTE = -11,   //  the directory is on a remote file system
    ZSPOOL_EFULL = -12,     //  the block has no room for this message
    ZSPOOL_ENOSPC = -13,    //  the disk has no room; appending may succeed later
    ZSPOOL_EIO = -14,       //  reading or writing a file failed
    ZSPOOL_EFAILED = -15,   //  an earlier commit failed: the store takes no more changes until reopened
    ZSPOOL_ETOOBIG = -16,   //  the message has more bytes or frames than the limit
    ZSPOOL_ESTALE = -17,    //  acknowledges what is not pending, or a ticket of another generation
    ZSPOOL_EREADONLY = -18, //  the store was opened for reading
    ZSPOOL_ELIMIT = -19,    //  a named limit is reached
    ZSPOOL_EADDR = -20,     //  an endpoint is malformed, in use or cannot be reached
    ZSPOOL_ESYSTEM = -21,   //  the system refused something else; errno says what
    ZSPOOL_ETIMEDOUT = -22, //  it took longer than it may
    ZSPOOL_ECANCELED = -23, //  the caller said so
    ZSPOOL_EBUSY = -24,     //  it is in use
    ZSPOOL_EFENCED = -25,   //  a newer producer of the same name has taken over
    ZSPOOL_EORDER = -26,    //  messages before it are missing
    ZSPOOL_EPROTOCOL = -27, //  bytes that are not the protocol, or a command out of its state
    ZSPOOL_ELOST = -28      //  the connection is lost, and with it what the other side knew of it
} zspool_error_t;

//  A short English phrase for a code of zspool_error_t, never NULL. The string is static.
//  Thread-safe.
ZSPOOL_EXPORT const char *
    zspool_strerror (int code);

//  The version of the library that is loaded, e.g. "0.1.0". The string is static. Thread-safe.
ZSPOOL_EXPORT const char *
    zspool_version (void);

#ifdef __cplusplus
}
#endif

#endif
