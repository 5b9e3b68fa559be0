#!/bin/sh
#  run.sh - measures zspool against zmq_proxy and prints one table; see run.py, or run.sh --help
#
#  SPDX-License-Identifier: MPL-2.0
exec python3 "$(dirname "$0")/run.py" "$@"
