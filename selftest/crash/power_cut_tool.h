//  power_cut_tool.h - zspool_selftest --power-cut: disks after a cut, for scripts
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef POWER_CUT_TOOL_H_INCLUDED
#define POWER_CUT_TOOL_H_INCLUDED

//  With the arguments behind --power-cut. Gives the exit status.
int
    power_cut_main (int argc, char **argv);

#endif
