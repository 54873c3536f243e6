import assert from "node:assert/strict";
import { proseOf } from "../../scripts/prose.ts";
import { avoidedWords } from "../../scripts/word-list.ts";
import { excess, lowered } from "../../scripts/words.ts";

const found = (path: string, text: string) =>
  avoidedWords(proseOf(path, text)).map(({ line, word }) => `${line} ${word}`);

describe("the check of words", () => {
  const refused: [what: string, path: string, text: string, words: string[]][] = [
    ["in a comment", "a.ts", "const a = 1;\n// The graph is read anew.", ["2 anew"]],
    ["in a block comment", "a.ts", "/**\n * Whoever logs in.\n */", ["2 Whoever"]],
    ["of two words that stand on two lines", "a.ts", "/** The bridge goes\n * on. */", ["1 goes on"]],
    ["in the title of a test", "a.test.ts", 'it("lets in a user that signs in", f);', ["1 lets in", "1 signs in"]],
    ["in a log line with values", "a.ts", `log.info(\`user \${user} was told\`);`, ["1 told"]],
    ["behind a string and a regular expression", "a.ts", "a('\"', /[\"`/]/); // nor here", ["1 nor"]],
    ["in a document", "a.md", "# A\nThe machine stands still.", ["2 machine", "2 stands still"]],
    ["in a value of a chart", "a.yaml", "summary: Logins go on", ["1 go on"]],
    ["at the beginning of a sentence", "a.md", "It works. Else it waits.", ["1 Else"]],
    ["in a comment of Python", "a.py", "told = 1  # it was told", ["1 told"]],
    ["in the text of a page", "a.html", '<p class="trouble">No doors</p>', ["1 doors"]],
  ];
  for (const [what, path, text, words] of refused) {
    it(`finds a word ${what}`, () => assert.deepEqual(found(path, text), words));
  }

  const kept: [what: string, path: string, text: string][] = [
    ["names of variables and functions", "a.ts", "const told = anew(whoever); if (nor) else pulse();"],
    ["code within a template", "a.ts", `log.info(\`sent to \${told.anew} of them\`);`],
    ["strings that are names", "a.ts", 'metric("told"); import "./anew.ts";'],
    ["names between backticks", "a.md", "The command `servers doors` and the field `told`."],
    ["state machines and virtual machines", "a.md", "A state machine on a virtual machine."],
    ["words that only look alike", "a.md", "A goes on to b; sign in CONNECT; something else; normal; DOOR."],
  ];
  for (const [what, path, text] of kept) {
    it(`leaves alone ${what}`, () => assert.deepEqual(found(path, text), []));
  }

  it("says what to write instead", () => {
    assert.deepEqual(avoidedWords("read anew"), [{ line: 1, word: "anew", instead: "again" }]);
  });

  describe("allows a file the words that it had", () => {
    const words = (count: number) => new Map([["core/a.ts", avoidedWords("anew ".repeat(count))]]);

    it("and no more", () => {
      assert.deepEqual(excess(words(2), { "core/a.ts": 2 }), []);
      assert.deepEqual(excess(words(3), { "core/a.ts": 2 }), ["core/a.ts"]);
      assert.deepEqual(excess(words(1), {}), ["core/a.ts"]);
    });

    it("and lowers the number, also of a file that has moved", () => {
      assert.deepEqual(lowered(words(1), { "core/a.ts": 2 }), { "core/a.ts": 1 });
      assert.deepEqual(lowered(words(2), { "core/b.ts": 2 }), { "core/a.ts": 2 });
      assert.equal(lowered(words(3), { "core/b.ts": 2 }), undefined);
      assert.deepEqual(lowered(words(2), { "core/b.ts": 1, "proxy/a.ts": 1 }), { "core/a.ts": 2 });
    });

    it("but lets no word into a folder that has none", () => {
      assert.equal(lowered(words(1), { "proxy/a.ts": 2 }), undefined);
    });
  });
});
