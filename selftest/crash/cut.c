//  cut.c - holds every disk that a power cut may leave against the model
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/cut.h"
#include "crash/fault.h"

#define CUT "cut"                      //  directory of the disks made

cut_plan_t
cut_plan_new (kit_chance_t *chance, unsigned disks, unsigned cuts_max)
{
    const char *only = getenv ("SELFTEST_DISK");
    return (cut_plan_t){ kit_random (chance), disks, cuts_max,
                         only? strtoull (only, NULL, 10): 0 };
}

//  The commit under way at a position, or NULL
static const record_t *
s_under_way (const recording_t *recording, uint64_t position, const record_t *confirmed)
{
    const record_t *note = disk_last_note (recording, position, MODEL_CANDIDATE);
    bool ended =
        note && confirmed
        && recording_position (recording, confirmed) > recording_position (recording, note);
    return ended? NULL: note;
}

//  The model that the disk shows: as was confirmed, or with the commit under way.
static model_t *
s_find_model (const recording_t *recording, uint64_t position, zspool_store_t *store)
{
    static model_t model;
    const record_t *confirmed = disk_last_note (recording, position, MODEL_CONFIRMED);
    const record_t *candidate = s_under_way (recording, position, confirmed);
    if (candidate) {
        model_load (&model, candidate);
        if (model_is_like (store, &model))
            return &model;
    }
    if (confirmed)
        model_load (&model, confirmed);
    else
        model_clear (&model);
    if (!model_is_like (store, &model))
        selftest_fail (__FILE__, __LINE__, "the store is not as it was confirmed%s",
                       candidate? ", nor as it would be": "");
    return &model;
}

static void
s_go_on (zspool_store_t *store)
{
    zspool_spool_info_t info;
    if (zspool_store_spool_info (store, 0, &info) == ZSPOOL_OK)
        kit_append (store, info.id, 5, 1000);
    kit_check_sound (store);
}

//  The directory as it is left may be missing only as long as nothing was confirmed.
static void
s_check_disk (const recording_t *recording, uint64_t position, bool made)
{
    if (!made)
        CHECK (!disk_last_note (recording, position, MODEL_CONFIRMED));
    zspool_store_t *store = kit_open (CUT, ZSPOOL_WRITE);
    model_t *model = s_find_model (recording, position, store);
    model_recover (model);
    model_check_all (store, model);
    s_go_on (store);
    zspool_store_destroy (&store);
}

size_t
cut_check (const recording_t *recording, const cut_plan_t *plan)
{
    char *root = disk_path (KIT_STORE);
    size_t count, disks = 0;
    disk_cut_t *cuts = disk_cuts (recording, &count);
    fault_record (NULL);
    fault_skip_syncs ();
    size_t chosen = plan->cuts_max && plan->cuts_max < count? plan->cuts_max: count;
    for (size_t index = 0; index < chosen; index++) {
        const disk_cut_t *cut = &cuts [index * count / chosen];
        for (unsigned turn = 0; turn < plan->disks; turn++) {
            if (plan->only && plan->only != ++disks)
                continue;
            disks += !plan->only;
            kit_chance_t chance = plan->seed + disks;
            printf ("SELFTEST_DISK=%zu: ", disks);
            disk_print_cut (recording, cut);
            disk_remove (CUT);
            s_check_disk (recording, cut->position,
                          disk_make (recording, cut->position, root, CUT, &chance));
        }
    }
    printf ("%zu calls, %zu cuts, %zu disks\n", count / 2, chosen, disks);
    free (cuts);
    free (root);
    return disks;
}
