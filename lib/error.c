//  error.c - texts for error codes, and the version
//
//  SPDX-License-Identifier: MPL-2.0

#include "zspool_library.h"

const char *
zspool_strerror (int code)
{
    switch (code) {
    case ZSPOOL_OK: return "success";
    case ZSPOOL_EINVAL: return "invalid argument";
    case ZSPOOL_ENOMEM: return "out of memory";
    case ZSPOOL_ENOENT: return "not found";
    case ZSPOOL_EEXIST: return "exists already";
    case ZSPOOL_ECORRUPT: return "corrupt data";
    case ZSPOOL_EVERSION: return "written by a newer version of zspool";
    case ZSPOOL_ENOTSTORE: return "not a zspool store";
    case ZSPOOL_ELOCKED: return "another process writes this store";
    case ZSPOOL_EOPEN: return "this process has the store open already";
    case ZSPOOL_EACCES: return "permission denied";
    case ZSPOOL_EREMOTE: return "stores on remote file systems are not safe";
    case ZSPOOL_EFULL: return "block is full";
    case ZSPOOL_ENOSPC: return "no space left on the disk";
    case ZSPOOL_EIO: return "input/output error";
    case ZSPOOL_EFAILED: return "an earlier commit failed";
    case ZSPOOL_ETOOBIG: return "message too large";
    case ZSPOOL_ESTALE: return "stale acknowledgement";
    case ZSPOOL_EREADONLY: return "store is open for reading only";
    case ZSPOOL_ELIMIT: return "limit reached";
    case ZSPOOL_EADDR: return "endpoint cannot be used";
    case ZSPOOL_ESYSTEM: return "system error";
    case ZSPOOL_ETIMEDOUT: return "it took too long";
    case ZSPOOL_ECANCELED: return "interrupted";
    case ZSPOOL_EBUSY: return "it is in use";
    case ZSPOOL_EFENCED: return "a newer producer of that name has taken over";
    case ZSPOOL_EORDER: return "messages before it are missing";
    case ZSPOOL_EPROTOCOL: return "not the protocol, or out of turn";
    case ZSPOOL_ELOST: return "the connection is lost";
    default: return "unknown error";
    }
}

const char *
zspool_version (void)
{
    return ZSPOOL_VERSION_STRING;
}
