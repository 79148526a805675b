/* SPDX-License-Identifier: Apache-2.0 */
/**
 * water: molecules that attract and repel each other (Lennard-Jones), in the way of SPLASH's
 * Water-nsquared: each rank computes the forces between its molecules and the half of all others
 * that follow it in a ring, so that each pair is looked at once; then it adds what it found to the
 * forces that all share, a part at a time, each under a mutex; then it moves its own molecules.
 *
 * Checked: rank 0 does the same alone; each position must agree to 1e-9 (sums of forces come in
 * another order), and the sum of all momenta, which no inner force changes, must still be zero.
 */
#include "job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP 1e-3
#define SPACING 1.2
#define PARTS 8u /* of the forces; each has a mutex */

struct vector {
    double x, y, z;
};

struct molecules {
    uint32_t count;
    struct vector *position, *speed, *force;
};

static void place(const struct molecules *all, uint32_t first, uint32_t last)
{
    uint32_t side = (uint32_t)ceil(cbrt(all->count));

    for (uint32_t i = first; i < last; i++) {
        /* Half of them go one way, half the other: the sum of momenta is zero from the start. */
        double way = i % 2 == 0 ? 1 : -1;
        bool is_odd_one = i == all->count - 1 && all->count % 2 == 1;
        uint32_t pair = i / 2;

        all->position[i] = (struct vector){SPACING * (i % side), SPACING * (i / side % side),
                                           SPACING * (i / side / side)};
        all->speed[i] = (struct vector){way * (pair % 7), way * (pair % 5), way * (pair % 3)};
        if (is_odd_one) {
            all->speed[i] = (struct vector){0, 0, 0};
        }
    }
}

/* The forces of molecules [first, last) on the half of all others that follows each of them. */
static void attract(const struct molecules *all, uint32_t first, uint32_t last,
                    struct vector *force)
{
    uint32_t count = all->count;

    for (uint32_t i = first; i < last; i++) {
        /* Of an even number the one right opposite belongs to the lower half. */
        uint32_t partners = (count - 1) / 2 + (count % 2 == 0 && i < count / 2 ? 1 : 0);
        struct vector here = all->position[i], sum = {0, 0, 0};

        for (uint32_t step = 1; step <= partners; step++) {
            uint32_t j = i + step < count ? i + step : i + step - count;
            double x = all->position[j].x - here.x, y = all->position[j].y - here.y;
            double z = all->position[j].z - here.z;
            double inverse = 1 / (x * x + y * y + z * z);
            double third = inverse * inverse * inverse;
            double strength = 24 * inverse * third * (1 - 2 * third);

            sum.x += strength * x;
            sum.y += strength * y;
            sum.z += strength * z;
            force[j].x -= strength * x;
            force[j].y -= strength * y;
            force[j].z -= strength * z;
        }
        force[i].x += sum.x;
        force[i].y += sum.y;
        force[i].z += sum.z;
    }
}

static void move(const struct molecules *all, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i < last; i++) {
        struct vector *speed = &all->speed[i], *position = &all->position[i];

        speed->x += STEP * all->force[i].x;
        speed->y += STEP * all->force[i].y;
        speed->z += STEP * all->force[i].z;
        position->x += STEP * speed->x;
        position->y += STEP * speed->y;
        position->z += STEP * speed->z;
        all->force[i] = (struct vector){0, 0, 0};
    }
}

/* Add this rank's forces to those of all, beginning with the part that is its own. */
static void add_forces(struct job *job, const struct molecules *all, const struct vector *mine)
{
    for (uint32_t i = 0; i < PARTS; i++) {
        uint32_t part = (i + PARTS * job->rank / job->ranks) % PARTS;
        uint32_t first = all->count / PARTS * part;
        uint32_t last = part + 1 == PARTS ? all->count : first + all->count / PARTS;
        uint64_t mutex = (uint64_t)((char *)&all->force[first] - (char *)all->position);

        job_lock(job, mutex);
        for (uint32_t k = first; k < last; k++) {
            all->force[k].x += mine[k].x;
            all->force[k].y += mine[k].y;
            all->force[k].z += mine[k].z;
        }
        job_unlock(job, mutex);
    }
}

static bool is_near(const struct vector *left, const struct vector *right)
{
    return fabs(left->x - right->x) <= 1e-9 && fabs(left->y - right->y) <= 1e-9 &&
           fabs(left->z - right->z) <= 1e-9;
}

static bool is_right(struct job *job, const struct molecules *answer)
{
    uint32_t count = answer->count;
    struct molecules all = {.count = count};
    struct vector sum = {0, 0, 0};
    bool is_same = true;

    all.position = job_private(job, 3 * (size_t)count, sizeof(struct vector));
    all.speed = all.position + count;
    all.force = all.speed + count;
    place(&all, 0, count);
    for (uint32_t i = 0; i < job->iterations; i++) {
        attract(&all, 0, count, all.force);
        move(&all, 0, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        is_same = is_same && is_near(&answer->position[i], &all.position[i]);
        sum.x += answer->speed[i].x;
        sum.y += answer->speed[i].y;
        sum.z += answer->speed[i].z;
    }
    free(all.position);
    return is_same && is_near(&sum, &(struct vector){0, 0, 0});
}

/* Three arrays of whole pages. */
static void lay_out(struct job *job, struct molecules *all)
{
    size_t one_bytes = ((size_t)job->size * sizeof(struct vector) + JOB_PAGE_BYTES - 1) /
                       JOB_PAGE_BYTES * JOB_PAGE_BYTES;
    char *memory = job_memory(job, 3 * one_bytes);

    *all = (struct molecules){
        .count = job->size,
        .position = (struct vector *)(void *)memory,
        .speed = (struct vector *)(void *)(memory + one_bytes),
        .force = (struct vector *)(void *)(memory + 2 * one_bytes),
    };
}

int main(int argc, char **argv)
{
    static const struct job_about about = {
        .name = "water",
        .type = "f64[]",
        .size_is = "molecules",
        .size = 4096,
        .size_max = 1000000,
        .iterations = 8,
        .has_iterations = true,
    };
    struct job job;
    struct molecules all;
    uint32_t first, last;
    double checksum = 0;

    job_open(&job, argc, argv, &about);
    lay_out(&job, &all);
    struct vector *mine = job_private(&job, job.size, sizeof(struct vector));
    job_share(&job, job.size, &first, &last);
    place(&all, first, last);

    job_start(&job);
    for (uint32_t i = 0; i < job.iterations; i++) {
        memset(mine, 0, job.size * sizeof(struct vector));
        attract(&all, first, last, mine);
        add_forces(&job, &all, mine);
        job_barrier(&job);
        move(&all, first, last);
        job_barrier(&job);
    }
    job_stop(&job);

    bool right = job_checks(&job) && is_right(&job, &all);
    for (uint32_t i = 0; job.rank == 0 && i < job.size; i++) {
        checksum += all.position[i].x + all.position[i].y + all.position[i].z;
    }
    free(mine);
    /* Sums in another order differ in the last digits, which a checksum leaves out. */
    return job_close(&job, right, nearbyint(checksum * 1e3) / 1e3);
}
