#!/bin/sh
#  test_quickstart.sh - quickstart.sh does what it says: nothing is lost when the device is killed
#
#  SPDX-License-Identifier: MPL-2.0

exec "$ZSPOOL_SRCDIR/quickstart.sh"
