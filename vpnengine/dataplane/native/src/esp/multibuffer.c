/*
 * A narrow door to libipsec-mb: keys are expanded into one opaque block, and whole batches of ESP packets are sealed or
 * opened in place. It exists because the library's manager and jobs are C structures with unions, function pointers and
 * an alignment, which its own header describes best.
 *
 * The library is loaded when it is first asked for, so that the module also works on a host that has none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The ciphers and hashes, as multibuffer.rs numbers them. */
enum { CIPHER_NULL, CIPHER_CBC, CIPHER_CTR, CIPHER_GCM, CIPHER_CCM, CIPHER_CHACHA, CIPHER_DES3 };
enum { HASH_NONE, HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512 };

#define ROUND_KEYS (16 * 15)

struct culvert_mb_key {
        union {
                struct gcm_key_data gcm;
                struct {
                        uint8_t encrypt[ROUND_KEYS] __attribute__((aligned(64)));
                        uint8_t decrypt[ROUND_KEYS] __attribute__((aligned(64)));
                        uint8_t ipad[64] __attribute__((aligned(64)));
                        uint8_t opad[64] __attribute__((aligned(64)));
                        uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / 8];
                        const void *des_list[3];
                };
        };
        IMB_JOB template;
        int cipher;
        int opening;
        aes_gcm_enc_dec_t gcm_function;
} __attribute__((aligned(64)));

/* One packet; multibuffer.rs has the same structure. */
struct culvert_mb_job {
        const struct culvert_mb_key *key;
        uint8_t *packet;
        uint32_t start;  /* where the ciphertext begins */
        uint32_t end;    /* where it ends and the ICV begins */
        uint32_t hashed; /* octets under the HMAC, from the packet's beginning */
        uint32_t aad_length;
        uint8_t nonce[16];
        uint8_t aad[16];
        uint8_t tag[64];
        uint32_t done;
        uint32_t private_index; /* the rest is not for C */
        uint32_t private_icv;
        uint8_t private_received[32];
};

static struct {
        void *library;
        __typeof__(alloc_mb_mgr) *alloc;
        __typeof__(free_mb_mgr) *free;
        __typeof__(init_mb_mgr_auto) *init;
        __typeof__(imb_get_version) *version;
} mb;

/* 0 if the library is there and is at least as new as the header; the caller makes sure that this runs once. */
int culvert_mb_load(void)
{
        char name[32] = "libIPSec_MB.so.0";

        name[strlen(name) - 1] = (char) ('0' + (IMB_VERSION_NUM >> 16));
        mb.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (!mb.library)
                return -1;
        *(void **) &mb.alloc = dlsym(mb.library, "alloc_mb_mgr");
        *(void **) &mb.free = dlsym(mb.library, "free_mb_mgr");
        *(void **) &mb.init = dlsym(mb.library, "init_mb_mgr_auto");
        *(void **) &mb.version = dlsym(mb.library, "imb_get_version");
        if (!mb.alloc || !mb.free || !mb.init || !mb.version || mb.version() < IMB_VERSION_NUM)
                return -1;
        return 0;
}

/* A manager for one thread; NULL if memory, the processor's AES instructions or the library's self-test fail. */
IMB_MGR *culvert_mb_manager_new(void)
{
        const uint64_t wanted = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
        IMB_MGR *manager = mb.alloc(0);

        if (!manager)
                return NULL;
        mb.init(manager, NULL);
        if ((manager->features & wanted) != wanted || manager->imb_errno ||
            ((manager->features & IMB_FEATURE_SELF_TEST) && !(manager->features & IMB_FEATURE_SELF_TEST_PASS))) {
                mb.free(manager);
                return NULL;
        }
        return manager;
}

void culvert_mb_manager_free(IMB_MGR *manager)
{
        mb.free(manager);
}

static void pad_block(uint8_t *block, const uint8_t *key, uint32_t length, uint8_t with)
{
        memset(block, with, 128);
        for (uint32_t i = 0; i < length; i++)
                block[i] ^= key[i];
}

/* The two inner states of HMAC (RFC 2104) that every packet starts from. A key is no longer than a block. */
static int expand_hmac(IMB_MGR *manager, struct culvert_mb_key *key, int hash, const uint8_t *secret, uint32_t length)
{
        static const struct {
                IMB_HASH_ALG algorithm;
                uint32_t block, icv;
        } hashes[] = {
                [HASH_MD5] = { IMB_AUTH_MD5, 64, 12 },
                [HASH_SHA1] = { IMB_AUTH_HMAC_SHA_1, 64, 12 },
                [HASH_SHA256] = { IMB_AUTH_HMAC_SHA_256, 64, 16 },
                [HASH_SHA384] = { IMB_AUTH_HMAC_SHA_384, 128, 24 },
                [HASH_SHA512] = { IMB_AUTH_HMAC_SHA_512, 128, 32 },
        };
        const hash_one_block_t functions[] = {
                [HASH_MD5] = manager->md5_one_block,       [HASH_SHA1] = manager->sha1_one_block,
                [HASH_SHA256] = manager->sha256_one_block, [HASH_SHA384] = manager->sha384_one_block,
                [HASH_SHA512] = manager->sha512_one_block,
        };
        uint8_t block[128];

        if (hash < HASH_MD5 || hash > HASH_SHA512 || length > hashes[hash].block)
                return -1;
        pad_block(block, secret, length, 0x36);
        functions[hash](block, key->ipad);
        pad_block(block, secret, length, 0x5c);
        functions[hash](block, key->opad);
        explicit_bzero(block, sizeof(block));
        key->template.hash_alg = hashes[hash].algorithm;
        key->template.auth_tag_output_len_in_bytes = hashes[hash].icv;
        key->template.u.HMAC._hashed_auth_key_xor_ipad = key->ipad;
        key->template.u.HMAC._hashed_auth_key_xor_opad = key->opad;
        return 0;
}

static int expand_aes(IMB_MGR *manager, struct culvert_mb_key *key, const uint8_t *secret, uint32_t length)
{
        switch (length) {
        case 16: manager->keyexp_128(secret, key->encrypt, key->decrypt); break;
        case 24: manager->keyexp_192(secret, key->encrypt, key->decrypt); break;
        case 32: manager->keyexp_256(secret, key->encrypt, key->decrypt); break;
        default: return -1;
        }
        key->template.enc_keys = key->encrypt;
        key->template.dec_keys = key->decrypt;
        return 0;
}

static int expand_gcm(IMB_MGR *manager, struct culvert_mb_key *key, const uint8_t *secret, uint32_t length)
{
        switch (length) {
        case 16:
                manager->gcm128_pre(secret, &key->gcm);
                key->gcm_function = key->opening ? manager->gcm128_dec : manager->gcm128_enc;
                return 0;
        case 24:
                manager->gcm192_pre(secret, &key->gcm);
                key->gcm_function = key->opening ? manager->gcm192_dec : manager->gcm192_enc;
                return 0;
        case 32:
                manager->gcm256_pre(secret, &key->gcm);
                key->gcm_function = key->opening ? manager->gcm256_dec : manager->gcm256_enc;
                return 0;
        default: return -1;
        }
}

static int expand_cipher(IMB_MGR *manager, struct culvert_mb_key *key, const uint8_t *secret, uint32_t length,
                         uint32_t icv)
{
        IMB_JOB *job = &key->template;

        job->key_len_in_bytes = length;
        job->cipher_direction = key->opening ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        job->chain_order = key->opening ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
        job->iv_len_in_bytes = 16;
        switch (key->cipher) {
        case CIPHER_NULL:
                job->cipher_mode = IMB_CIPHER_NULL;
                job->key_len_in_bytes = 16;
                return length ? -1 : 0;
        case CIPHER_CBC:
                job->cipher_mode = IMB_CIPHER_CBC;
                return expand_aes(manager, key, secret, length);
        case CIPHER_CTR:
                job->cipher_mode = IMB_CIPHER_CNTR;
                return expand_aes(manager, key, secret, length);
        case CIPHER_GCM:
                job->auth_tag_output_len_in_bytes = icv;
                return expand_gcm(manager, key, secret, length);
        case CIPHER_CCM:
                if (length == 24) /* not in the library */
                        return -1;
                job->cipher_mode = IMB_CIPHER_CCM;
                job->hash_alg = IMB_AUTH_AES_CCM;
                /* What CCM authenticates is the plaintext. */
                job->chain_order = key->opening ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
                job->iv_len_in_bytes = 11;
                job->auth_tag_output_len_in_bytes = icv;
                return expand_aes(manager, key, secret, length);
        case CIPHER_CHACHA:
                if (length != 32)
                        return -1;
                memcpy(key->encrypt, secret, 32);
                job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
                job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
                job->enc_keys = job->dec_keys = key->encrypt;
                job->iv_len_in_bytes = 12;
                job->auth_tag_output_len_in_bytes = icv;
                return 0;
        case CIPHER_DES3:
                /* Version 2.0 does not open what it has sealed; the tests showed it. It is OpenSSL's there. */
                if (length != 24 || IMB_VERSION_NUM >= IMB_VERSION(2, 0, 0))
                        return -1;
                for (int i = 0; i < 3; i++) {
                        manager->des_key_sched(key->des[i], secret + 8 * i);
                        key->des_list[i] = key->des[i];
                }
                job->cipher_mode = IMB_CIPHER_DES3;
                job->enc_keys = job->dec_keys = key->des_list;
                job->iv_len_in_bytes = 8;
                return 0;
        default: return -1;
        }
}

/* An expanded key for one direction, immutable from then on; NULL if the library does not have the algorithms. */
struct culvert_mb_key *culvert_mb_key_new(IMB_MGR *manager, int opening, int cipher, int hash, uint32_t icv,
                                          const uint8_t *encryption, uint32_t encryption_length,
                                          const uint8_t *integrity, uint32_t integrity_length)
{
        struct culvert_mb_key *key = aligned_alloc(64, sizeof(*key));
        int failed;

        if (!key)
                return NULL;
        memset(key, 0, sizeof(*key));
        key->cipher = cipher;
        key->opening = opening;
        failed = expand_cipher(manager, key, encryption, encryption_length, icv);
        if (!failed && hash != HASH_NONE)
                failed = expand_hmac(manager, key, hash, integrity, integrity_length);
        if (failed) {
                explicit_bzero(key, sizeof(*key));
                free(key);
                return NULL;
        }
        return key;
}

void culvert_mb_key_free(struct culvert_mb_key *key)
{
        explicit_bzero(key, sizeof(*key));
        free(key);
}

/* AES-GCM has nothing to gain from lanes: one packet already fills the processor. */
void culvert_mb_gcm(const struct culvert_mb_key *key, uint8_t *text, uint64_t length, const uint8_t *nonce,
                    const uint8_t *aad, uint64_t aad_length, uint8_t *tag, uint64_t tag_length)
{
        struct gcm_context_data context;

        key->gcm_function(&key->gcm, &context, text, text, length, nonce, aad, aad_length, tag, tag_length);
}

static void finish(const IMB_JOB *completed)
{
        if (completed)
                ((struct culvert_mb_job *) completed->user_data)->done = completed->status == IMB_STATUS_COMPLETED;
}

static void fill(IMB_JOB *job, struct culvert_mb_job *from)
{
        const struct culvert_mb_key *key = from->key;

        *job = key->template;
        job->src = from->packet;
        job->cipher_start_src_offset_in_bytes = from->start;
        job->msg_len_to_cipher_in_bytes = from->end - from->start;
        job->dst = from->packet + from->start;
        job->auth_tag_output = from->tag;
        job->user_data = from;
        switch (key->cipher) {
        case CIPHER_CCM:
        case CIPHER_CHACHA:
                job->hash_start_src_offset_in_bytes = from->start;
                job->msg_len_to_hash_in_bytes = from->end - from->start;
                job->iv = from->nonce;
                if (key->cipher == CIPHER_CCM) {
                        job->u.CCM.aad = from->aad;
                        job->u.CCM.aad_len_in_bytes = from->aad_length;
                } else {
                        job->u.CHACHA20_POLY1305.aad = from->aad;
                        job->u.CHACHA20_POLY1305.aad_len_in_bytes = from->aad_length;
                }
                break;
        default:
                job->hash_start_src_offset_in_bytes = 0;
                job->msg_len_to_hash_in_bytes = from->hashed;
                job->iv = key->cipher == CIPHER_CTR ? from->nonce : from->packet + 8;
        }
}

/* Seal or open packets in the library's lanes. Nothing stays in them: the packets are the caller's again. */
void culvert_mb_run(IMB_MGR *manager, struct culvert_mb_job *jobs, uint32_t count)
{
        const IMB_JOB *completed;

        for (uint32_t i = 0; i < count; i++) {
                jobs[i].done = 0;
                fill(IMB_GET_NEXT_JOB(manager), &jobs[i]);
                for (completed = IMB_SUBMIT_JOB(manager); completed; completed = IMB_GET_COMPLETED_JOB(manager))
                        finish(completed);
        }
        while ((completed = IMB_FLUSH_JOB(manager)))
                finish(completed);
}
