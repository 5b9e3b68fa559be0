//  control_client.h - what only libzspool may do with a zspool_control
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_CONTROL_CLIENT_H_INCLUDED
#define ZSPOOL_CONTROL_CLIENT_H_INCLUDED

#include "zspool_control.h"

//  Ask the device for any command that control.c knows: a message of its name and arguments, which
//  is destroyed. On success *reply_p, if it is not NULL, has what the command gives, without the
//  code; the caller destroys it. Errors: those of zspool_control_status (), the command's own
//  (EINVAL: the device does not know it), and ETOOBIG: the request is over the limits of
//  control_frame.h.
int
    zspool_control_ask (zspool_control_t *self, zmsg_t **request_p, zmsg_t **reply_p);

#endif
