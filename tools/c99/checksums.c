#include "checksums.h"

#include <stdio.h>
#include <string.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotated(uint32_t word, int count)
{
    return word >> count | word << (32 - count);
}

static void expand(const uint8_t block[64], uint32_t schedule[64])
{
    int k;

    for (k = 0; k < 16; k++) {
        const uint8_t *at = block + 4 * k;

        schedule[k] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    }
    for (k = 16; k < 64; k++) {
        uint32_t a = schedule[k - 15];
        uint32_t b = schedule[k - 2];
        uint32_t sum = schedule[k - 16] + schedule[k - 7];

        sum += rotated(a, 7) ^ rotated(a, 18) ^ a >> 3;
        schedule[k] = sum + (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
    }
}

static void compress(uint32_t state[8], const uint8_t block[64])
{
    uint32_t schedule[64];
    uint32_t v[8];
    int k;

    expand(block, schedule);
    memcpy(v, state, sizeof v);
    for (k = 0; k < 64; k++) {
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t first = v[7] + (rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25));
        uint32_t second = (rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)) + majority;

        first += choice + round_constants[k] + schedule[k];
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += first;
        v[0] = first + second;
    }
    for (k = 0; k < 8; k++) {
        state[k] += v[k];
    }
}

void sha256(const uint8_t *bytes, size_t count, uint8_t digest[32])
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[128] = {0};
    size_t rest = count % 64;
    size_t size = rest < 56 ? 64 : 128;
    size_t k;

    for (k = 0; k + 64 <= count; k += 64) {
        compress(state, bytes + k);
    }
    if (rest > 0) {
        memcpy(last, bytes + k, rest);
    }
    last[rest] = 0x80;
    for (k = 0; k < 8; k++) {
        last[size - 1 - k] = (uint8_t)((uint64_t)count * 8 >> 8 * k);
    }
    for (k = 0; k < size; k += 64) {
        compress(state, last + k);
    }
    for (k = 0; k < 32; k++) {
        digest[k] = (uint8_t)(state[k / 4] >> (24 - 8 * (k % 4)));
    }
}

void sha256_hex(const uint8_t *bytes, size_t count, char hex[65])
{
    uint8_t digest[32];
    int k;

    sha256(bytes, count, digest);
    for (k = 0; k < 32; k++) {
        sprintf(hex + 2 * k, "%02x", digest[k]);
    }
}

uint32_t crc32_of(const uint8_t *bytes, size_t count)
{
    uint32_t rest = 0xFFFFFFFF;
    size_t k;
    int bit;

    for (k = 0; k < count; k++) {
        rest ^= bytes[k];
        for (bit = 0; bit < 8; bit++) {
            rest = rest >> 1 ^ (rest & 1 ? 0xEDB88320 : 0);
        }
    }
    return rest ^ 0xFFFFFFFF;
}
