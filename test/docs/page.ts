/** The commands of a page: its fenced blocks, in their order. */

export type Block = {
  /** `sh`, `sql`, `yaml`... */
  language: string;
  /** What the list item or paragraph before it is called: its first words in bold, else the section's heading. */
  title: string;
  text: string;
};

/** Blocks of the sections whose headings are these, without the indentation of the list they stand in. */
export function blocksOf(page: string, heading: string): Block[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new RangeError(`no section is called ${heading}`);
  const found = section.matchAll(/\*\*([^*]+?)\.?\*\*|^( *)```(\w+)\n([\s\S]*?)^ *```$/gm);
  let title = heading;
  const blocks: Block[] = [];
  for (const [, bold, indent = "", language, text = ""] of found) {
    if (bold !== undefined) title = bold;
    else
      blocks.push({ language: language as string, title, text: text.replaceAll(new RegExp(`^${indent}`, "gm"), "") });
  }
  return blocks;
}

/** `NAME=value # what it is` with some values replaced: what the page asks its reader to edit. Throws for a name that is not there. */
export function edited(block: string, values: Readonly<Record<string, string>>): string {
  return Object.entries(values).reduce((text, [name, value]) => {
    const line = new RegExp(`^${name}=\\S*`, "m");
    if (!line.test(text)) throw new RangeError(`${name} is not there to be edited`);
    return text.replace(line, () => `${name}='${value}'`);
  }, block);
}
