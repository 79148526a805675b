/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed regions (O19). */
#include "tests/sim/oracle.h"

#include "dsm/core/node_parts.h"
#include "tests/sim/oracle_parts.h"

bool oracle_is_sealed(const struct cluster *cluster, uint32_t region)
{
    region_id id = cluster->regions[region];
    const struct record *record = oracle_record(cluster, region);

    if (record == NULL && id.slot != 0 && id.slot <= cluster->count_records) {
        record = &cluster->records[id.slot - 1]; /* deleted, which a node may hear of late */
    }
    return record != NULL && region_id_equal(record->id, id) && record->sealed;
}

void oracle_check_sealed_write(const struct cluster *cluster, uint32_t node, uint32_t region,
                               uint64_t page, bool is_atomic)
{
    const struct record *known;

    if (!oracle_is_sealed(cluster, region) || cluster->nodes[node].is_outcast) {
        return;
    }
    known = node_record(cluster->nodes[node].node, cluster->regions[region]);
    if (!is_atomic || (known != NULL && known->sealed)) {
        oracle_fail(cluster, "O19", "a sealed region is written: node %u region %u page %llu%s",
                    node, region, (unsigned long long)page, is_atomic ? ", at its home" : "");
    }
}

void oracle_on_sealed(const struct cluster *cluster, uint32_t region)
{
    const struct record *record = oracle_record(cluster, region);

    if (record == NULL) {
        return; /* it was deleted meanwhile */
    }
    if (!record->sealed || !nodeset_is_empty(record->writers)) {
        oracle_fail(cluster, "O19", "a region that was sealed is not: region %u", region);
    }
    for (uint32_t node = 0; node < cluster->count_nodes; node++) {
        const struct record *known;

        if (!nodeset_has(record->homes, node) || cluster->nodes[node].is_dead ||
            cluster->nodes[node].is_outcast ||
            cluster->records[node].joined > record->id.generation) {
            continue;
        }
        known = node_record(cluster->nodes[node].node, cluster->regions[region]);
        if (known == NULL || !known->sealed) {
            oracle_fail(cluster, "O19",
                        "a region is sealed, and a home of it does not know: region %u node %u",
                        region, node);
        }
    }
}
