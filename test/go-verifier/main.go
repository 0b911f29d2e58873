// Command go-verifier checks a log directory in the layout of C2SP tlog-tiles with Go's own transparency log packages,
// which share no code with the program that wrote it.
//
//	go-verifier DIR VKEY CHECKPOINTS LEAVES
//
// CHECKPOINTS is a folder of earlier signed notes of the log, LEAVES a file of lines "index hex(SHA-256(0x00 || entry))".
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go-verifier DIR VKEY CHECKPOINTS LEAVES")
		os.Exit(2)
	}
	report, err := verify(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Println("invalid:", err)
		os.Exit(1)
	}
	fmt.Println(report)
}

func verify(dir, vkey, checkpoints, leaves string) (string, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", err
	}
	tree, err := readCheckpoint(filepath.Join(dir, "checkpoint"), verifier)
	if err != nil {
		return "", err
	}
	reader := tileReader{dir: dir}
	hashes := tlog.TileHashReader(tree, reader)
	proofs, err := checkInclusion(tree, hashes, leaves)
	if err != nil {
		return "", err
	}
	consistent, err := checkConsistency(tree, hashes, checkpoints, verifier)
	if err != nil {
		return "", err
	}
	tiles, err := checkTiles(dir, tree)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("valid size=%d inclusion=%d consistency=%d tiles=%d", tree.N, proofs, consistent, tiles), nil
}

func readCheckpoint(path string, verifier note.Verifier) (tlog.Tree, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%s: %w", path, err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("%s: not a checkpoint of %s", path, verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func checkInclusion(tree tlog.Tree, hashes tlog.HashReader, leaves string) (int, error) {
	file, err := os.Open(leaves)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); count++ {
		var index int64
		var digits string
		if _, err := fmt.Sscan(lines.Text(), &index, &digits); err != nil {
			return 0, err
		}
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return 0, err
		}
		var leaf tlog.Hash
		copy(leaf[:], raw)
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
			return 0, fmt.Errorf("leaf %d: %w", index, err)
		}
	}
	return count, nil
}

func checkConsistency(tree tlog.Tree, hashes tlog.HashReader, folder string, verifier note.Verifier) (int, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return 0, err
	}
	var trees []tlog.Tree
	for _, path := range paths {
		earlier, err := readCheckpoint(path, verifier)
		if err != nil {
			return 0, err
		}
		if earlier.N > 0 {
			trees = append(trees, earlier)
		}
	}
	sort.Slice(trees, func(i, j int) bool { return trees[i].N < trees[j].N })
	for i, earlier := range trees {
		later := tree
		if i+1 < len(trees) {
			later = trees[i+1]
		}
		proof, err := tlog.ProveTree(later.N, earlier.N, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, later.N, later.Hash, earlier.N, earlier.Hash); err != nil {
			return 0, fmt.Errorf("checkpoint of %d: %w", earlier.N, err)
		}
	}
	return len(trees), nil
}

// checkTiles derives every tile from the entries and compares it, byte for byte, with the one in the directory.
func checkTiles(dir string, tree tlog.Tree) (int, error) {
	stored, err := hashesOfEntries(dir, tree.N)
	if err != nil {
		return 0, err
	}
	tiles := tlog.NewTiles(tileHeight, 0, tree.N)
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return 0, err
		}
		got, err := os.ReadFile(filepath.Join(dir, path(tile)))
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(got, want) {
			return 0, fmt.Errorf("%s: not the hashes of the entries", path(tile))
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err == nil && root != tree.Hash {
		err = fmt.Errorf("the entries do not give the signed root")
	}
	return len(tiles), err
}

func hashesOfEntries(dir string, size int64) ([]tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	for index := int64(0); index < size; {
		tile := tlog.Tile{H: tileHeight, L: 0, N: index / 256, W: int(min(256, size-index))}
		name := strings.Replace(path(tile), "tile/0/", "tile/entries/", 1)
		bundle, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for i := 0; i < tile.W; i++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return nil, fmt.Errorf("%s: cut off", name)
			}
			end := 2 + int(binary.BigEndian.Uint16(bundle))
			more, err := tlog.StoredHashes(index, bundle[2:end], reader)
			if err != nil {
				return nil, err
			}
			stored = append(stored, more...)
			bundle = bundle[end:]
			index++
		}
		if len(bundle) > 0 {
			return nil, fmt.Errorf("%s: bytes after the last entry", name)
		}
	}
	return stored, nil
}

// path is Go's name of the tile in the spelling of C2SP, which leaves out the height.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

type tileReader struct{ dir string }

func (r tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		read, err := r.read(tile)
		if err != nil {
			return nil, err
		}
		data[i] = read
	}
	return data, nil
}

// A partial tile may be gone once the full one exists, which begins with the same hashes.
func (r tileReader) read(tile tlog.Tile) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(r.dir, path(tile)))
	if os.IsNotExist(err) && tile.W < 256 {
		full := tile
		full.W = 256
		data, err = os.ReadFile(filepath.Join(r.dir, path(full)))
	}
	if err != nil {
		return nil, err
	}
	if want := tile.W * tlog.HashSize; len(data) > want {
		data = data[:want]
	}
	return data, nil
}

// SaveTiles does nothing: the directory is the cache.
func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
