/* SHA-256 (FIPS 180-4) and CRC-32 (IEEE 802.3, as in zlib) of bytes (SPEC MODEL-3, STREAM-1). */
#ifndef CHECKSUMS_H
#define CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

void sha256(const uint8_t *bytes, size_t count, uint8_t digest[32]);

/* The digest as 64 lower-case hexadecimal digits and a zero. */
void sha256_hex(const uint8_t *bytes, size_t count, char hex[65]);

uint32_t crc32_of(const uint8_t *bytes, size_t count);

#endif
