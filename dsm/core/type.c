/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a type: its words, and what may follow what. Where things lie: type_layout.c. */
#include "dsm/core/type.h"

#include <string.h>

#include "dsm.h"
#include "dsm/core/type_parts.h"

/** Bytes of the text that a sentence shows. */
#define SHOWN_MAX 24u

enum token {
    TOKEN_END = 0,
    TOKEN_WORD,
    TOKEN_NUMBER,
    TOKEN_SIGN, /* one of { } [ ] ; */
    TOKEN_STRAY,
};

struct parser {
    const char *text;
    struct type *type;
    struct type_error *error;
    struct line line; /* type->text */
    char last;        /* of the line, a class: 'a' for words and numbers, else the sign; 0: none */
    uint32_t depth;
    enum token token; /* that is next */
    uint32_t at;      /* where it begins */
    uint32_t len;
    uint64_t number; /* NUMBER; more than any region has when it is too large */
};

/* --- tokens --- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void scan_number(struct parser *parser)
{
    parser->number = 0;
    for (uint32_t i = 0; i < parser->len; i++) {
        if (parser->number <= TYPE_BYTES_MAX / 10) {
            parser->number = parser->number * 10 + (uint64_t)(parser->text[parser->at + i] - '0');
        } else {
            parser->number = UINT64_MAX;
        }
    }
}

/** Look at the token that begins behind the last one. */
static void scan(struct parser *parser)
{
    const char *text = parser->text;
    uint32_t at = parser->at + parser->len;
    uint32_t end;

    while (is_blank(text[at])) {
        at++;
    }
    end = at;
    if (is_letter(text[at])) {
        parser->token = TOKEN_WORD;
        while (is_letter(text[end]) || is_digit(text[end])) {
            end++;
        }
    } else if (is_digit(text[at])) {
        parser->token = TOKEN_NUMBER;
        while (is_digit(text[end])) {
            end++;
        }
    } else if (text[at] != 0) {
        parser->token = strchr("{}[];", text[at]) != NULL ? TOKEN_SIGN : TOKEN_STRAY;
        end++;
    } else {
        parser->token = TOKEN_END;
    }
    parser->at = at;
    parser->len = end - at;
    if (parser->token == TOKEN_NUMBER) {
        scan_number(parser);
    }
}

static bool is_next(const struct parser *parser, char sign)
{
    return parser->token == TOKEN_SIGN && parser->text[parser->at] == sign;
}

static bool is_word(const struct parser *parser, const char *word)
{
    return parser->token == TOKEN_WORD && strlen(word) == parser->len &&
           memcmp(parser->text + parser->at, word, parser->len) == 0;
}

/**
 * The token is right: write it to the line in its one form, and go on. Words, numbers and braces
 * stand apart, what belongs to the thing before stands at it.
 */
static void accept(struct parser *parser)
{
    bool is_sign = parser->token == TOKEN_SIGN;
    char class = is_sign ? parser->text[parser->at] : 'a';

    if (parser->last != 0 && parser->last != '[' && class != '[' && class != ']' && class != ';') {
        line_add(&parser->line, " ");
    }
    if (parser->token == TOKEN_NUMBER) {
        line_add_number(&parser->line, parser->number);
    } else {
        line_add_bytes(&parser->line, parser->text + parser->at, parser->len);
    }
    parser->last = class;
    scan(parser);
}

/* --- what is wrong --- */

/** "at byte 5, 'u61': ", then the text. */
static int refuse(struct parser *parser, const char *text)
{
    uint32_t shown = parser->len < SHOWN_MAX ? parser->len : SHOWN_MAX;
    struct line line;

    parser->error->position = parser->at;
    line_begin(&line, parser->error->text, sizeof(parser->error->text));
    line_add(&line, "at byte ");
    line_add_number(&line, parser->at);
    if (parser->token == TOKEN_END) {
        line_add(&line, ", the end: ");
    } else if (parser->token == TOKEN_STRAY) {
        line_add(&line, ": ");
    } else {
        line_add(&line, ", '");
        line_add_bytes(&line, parser->text + parser->at, shown);
        line_add(&line, shown < parser->len ? "...': " : "': ");
    }
    line_add(&line, text);
    return DSM_EINVAL;
}

static int expect(struct parser *parser, char sign, const char *text)
{
    if (!is_next(parser, sign)) {
        return refuse(parser, text);
    }
    accept(parser);
    return 0;
}

/* --- the grammar --- */

static int parse_struct(struct parser *parser, uint32_t number);

/** A number of at least 1, as a count or the bytes of a pad. */
static int parse_number(struct parser *parser, uint64_t *number, const char *text)
{
    if (parser->token != TOKEN_NUMBER) {
        return refuse(parser, text);
    }
    if (parser->number == 0) {
        return refuse(parser, "must be at least 1");
    }
    if (parser->number > TYPE_BYTES_MAX) {
        return refuse(parser, "is larger than any region");
    }
    *number = parser->number;
    accept(parser);
    return 0;
}

static uint32_t find_kind(const struct parser *parser)
{
    for (uint32_t kind = KIND_U8; kind < TYPE_KINDS; kind++) {
        if (is_word(parser, type_word(kind))) {
            return kind;
        }
    }
    return KIND_NONE;
}

/** Begin a node with its kind; a pad and a struct to their ends. */
static int parse_kind(struct parser *parser, uint32_t parent, uint32_t *number)
{
    struct type *type = parser->type;
    uint32_t kind = find_kind(parser);
    struct type_node *node = &type->nodes[type->count_nodes];
    int error = 0;

    if (kind == KIND_NONE) {
        return refuse(parser, "a type is wanted: u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 ref, "
                              "struct { ... }, or pad and a number of bytes");
    }
    if (type->count_nodes == TYPE_NODES_MAX) {
        return refuse(parser, "a type has 255 elements, fields and pads at most");
    }
    *node = (struct type_node){
        .kind = (uint8_t)kind, .parent = (uint16_t)parent, .at = (uint16_t)parser->at, .count = 1};
    *number = type->count_nodes++;
    accept(parser);
    if (kind == KIND_STRUCT) {
        error = parse_struct(parser, *number);
    } else if (kind == KIND_PAD) {
        error = parse_number(parser, &node->size_bytes, "pad wants its number of bytes, as pad 4");
    }
    node->end = (uint16_t)type->count_nodes;
    return error;
}

/** [n] any number of times, the last of them [] where it `may_repeat`. */
static int parse_counts(struct parser *parser, struct type_node *node, bool may_repeat)
{
    while (is_next(parser, '[') && !parser->type->repeats) {
        uint64_t count = 1;
        int error;

        accept(parser);
        if (may_repeat && is_next(parser, ']')) {
            parser->type->repeats = true;
        } else {
            error = parse_number(parser, &count,
                                 "a count is wanted, as [4]; only the last element "
                                 "of a region may have []");
            if (error != 0) {
                return error;
            }
        }
        if (count > TYPE_BYTES_MAX / node->count) {
            return refuse(parser, "the array before this is larger than any region");
        }
        node->count *= count;
        error = expect(parser, ']', "a ] is wanted");
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/** The field's name, which no other of its struct has. */
static int parse_name(struct parser *parser, uint32_t number)
{
    struct type *type = parser->type;
    struct type_node *node = &type->nodes[number];

    if (parser->token != TOKEN_WORD) {
        return refuse(parser, "a field's name is wanted, as u16 red;");
    }
    if (parser->len > TYPE_NAME_MAX) {
        return refuse(parser, "a name has 63 bytes at most");
    }
    for (uint32_t i = node->parent + 1u; i < number; i = type->nodes[i].end) {
        const struct type_node *other = &type->nodes[i];

        if (other->len_name == parser->len &&
            memcmp(type->text + other->name, parser->text + parser->at, parser->len) == 0) {
            return refuse(parser, "the struct has a field of this name already");
        }
    }
    node->len_name = (uint8_t)parser->len;
    accept(parser);
    node->name = (uint16_t)(parser->line.len_bytes - node->len_name);
    return 0;
}

static int parse_field(struct parser *parser, uint32_t parent)
{
    struct type_node *nodes = parser->type->nodes;
    uint32_t number;
    int error = parse_kind(parser, parent, &number);

    if (error == 0 && nodes[number].kind != KIND_PAD) {
        error = parse_counts(parser, &nodes[number], false);
        if (error == 0) {
            error = parse_name(parser, number);
        }
    }
    return error != 0 ? error : expect(parser, ';', "a ; is wanted at a field's end");
}

static int parse_struct(struct parser *parser, uint32_t number)
{
    int error = expect(parser, '{', "a { is wanted");

    if (error == 0 && parser->depth == TYPE_DEPTH_MAX) {
        return refuse(parser, "more than 8 structs lie within each other");
    }
    parser->depth++;
    while (error == 0) {
        error = parse_field(parser, number);
        if (is_next(parser, '}')) {
            break;
        }
    }
    parser->depth--;
    if (error == 0) {
        accept(parser); /* } */
    }
    return error;
}

static int parse_elements(struct parser *parser)
{
    struct type *type = parser->type;
    uint32_t number;
    int error;

    do {
        error = parse_kind(parser, 0, &number);
        if (error == 0 && type->nodes[number].kind != KIND_PAD) {
            error = parse_counts(parser, &type->nodes[number], true);
        }
        if (error == 0 && type->repeats && parser->token != TOKEN_END) {
            error = refuse(parser, "nothing can follow []: it goes on to the region's end");
        }
    } while (error == 0 && parser->token != TOKEN_END);
    type->nodes[0].end = (uint16_t)type->count_nodes;
    return error;
}

int type_parse(const char *text, struct type *type, struct type_error *error)
{
    struct parser parser = {.text = text, .type = type, .error = error};
    int result;

    type->repeats = false;
    type->count_nodes = 1;
    type->nodes[0] = (struct type_node){.kind = KIND_STRUCT, .count = 1};
    line_begin(&parser.line, type->text, sizeof(type->text));
    if (memchr(text, 0, RECORD_TYPE_BYTES) == NULL) {
        parser.at = RECORD_TYPE_BYTES - 1;
        parser.token = TOKEN_STRAY;
        return refuse(&parser, "a type has 1023 bytes at most");
    }
    scan(&parser);
    result = parse_elements(&parser);
    if (result == 0 && parser.line.is_cut) {
        return refuse(&parser, "with its spaces put right this type has more than 1023 bytes");
    }
    return result != 0 ? result : type_lay_out(type, error);
}

bool type_text_is_sound(const char *text)
{
    struct type type;
    struct type_error error;

    return type_parse(text, &type, &error) == 0 && strcmp(type.text, text) == 0;
}
