//  zap.h - why every socket of a device has a ZAP domain
//
//  SPDX-License-Identifier: MPL-2.0
//
//  libzmq takes a connection whose first byte is not 0xFF for a peer of ZMTP 1.0, so an HTTP request or a port
//  scanner would be given messages, or put some in. With a domain set it refuses such peers. No ZAP handler
//  is needed; where the application runs one, it is asked about this domain.

#ifndef ZSPOOL_ZAP_H_INCLUDED
#define ZSPOOL_ZAP_H_INCLUDED

#define ZSPOOL_ZAP_DOMAIN "zspool"

#endif
