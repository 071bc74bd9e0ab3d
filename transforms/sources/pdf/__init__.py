"""Text of PDF files, taken out by pdfium in a process of its own.

`children` keeps the processes and reads their answers; `child` is what runs there. `native` asks pdfium for the lines of a page,
`order` brings them into reading order, `furniture` finds headers, footers and page numbers, `paragraphs` joins lines and
undoes hyphenation. Nothing below `child` imports pyarrow, so that a process starts in a tenth of a second.
"""
