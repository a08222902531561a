// A min-heap of deadlines, one entry for each thing that has one; entries know their place, so that
// removal costs O(log n) and nothing that is gone lingers.

/** Something with a deadline, in milliseconds. `heapIndex` belongs to the heap: -1 when outside. */
export interface Timed {
  due: number
  heapIndex: number
}

export class Deadlines<T extends Timed> {
  readonly #heap: T[] = []

  /** The earliest deadline; `Infinity` when there is none. */
  get next(): number {
    return this.#heap[0]?.due ?? Infinity
  }

  /** Takes `item` in, or puts it in its place after its `due` has changed. */
  set(item: T, due: number): void {
    item.due = due
    if (item.heapIndex < 0) {
      item.heapIndex = this.#heap.length
      this.#heap.push(item)
    }
    this.#down(this.#up(item))
  }

  /** Takes `item` out; nothing happens when it is not inside. */
  delete(item: T): void {
    const index = item.heapIndex
    if (index < 0) return
    item.heapIndex = -1
    const last = this.#heap.pop()
    if (last === undefined || last === item) return
    this.#heap[index] = last
    last.heapIndex = index
    this.#down(this.#up(last))
  }

  /** Takes everything out. */
  clear(): void {
    for (const item of this.#heap) item.heapIndex = -1
    this.#heap.length = 0
  }

  /** Takes out and returns an item that is due at `now`, the earliest first. */
  takeDue(now: number): T | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.due > now) return undefined
    this.delete(first)
    return first
  }

  #up(item: T): T {
    let index = item.heapIndex
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = this.#heap[parentIndex]
      if (parent === undefined || parent.due <= item.due) break
      this.#put(parent, index)
      index = parentIndex
    }
    this.#put(item, index)
    return item
  }

  #down(item: T): void {
    let index = item.heapIndex
    for (;;) {
      const left = this.#heap[2 * index + 1]
      const right = this.#heap[2 * index + 2]
      const child = right !== undefined && left !== undefined && right.due < left.due ? right : left
      if (child === undefined || child.due >= item.due) break
      const childIndex = child.heapIndex
      this.#put(child, index)
      index = childIndex
    }
    this.#put(item, index)
  }

  #put(item: T, index: number): void {
    this.#heap[index] = item
    item.heapIndex = index
  }
}
