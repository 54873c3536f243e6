/** The n-th uuid of a kind in cluster zzzzz. */
export function uuidOf(infix: string, n: number): string {
  return `zzzzz-${infix}-${n.toString(36).padStart(15, "0")}`;
}
