//  zspool.h - the whole public API of zspool: durable ZeroMQ messaging without a broker
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_H_INCLUDED
#define ZSPOOL_H_INCLUDED

#include "zspool_library.h"
#include "zspool_block.h"
#include "zspool_ticket.h"
#include "zspool_backup.h"
#include "zspool_store.h"
#include "zspool_reader.h"
#include "zspool_device.h"
#include "zspool_control.h"

#endif
