"""Training data: recordings in, spectrograms in a database, a pickle and batches out.

From recordings to the database:

- `recordings_csv`: facts about recordings, from a table and from file names
- `tree`: the tree ``<class>/<recording>``, checked against the class list
- `annotated`: which classes are heard where people annotated recordings
- `curation`: decisions of people, replayed at every build
- `curation_rows`: the rows of their table, read and appended
- `catalog`: the classes and other names that the decisions leave
- `hand_edits`: changing a database by hand, together with that table
- `redo`: a decision applied to a database that exists
- `segment_removal`: takes a class from segments that images or a table point out
- `plans`: plans of what to store: recordings with their windows and classes; listed segments
- `window_streams`: spectrograms of the windows of many recordings, computed by threads
- `storing`: stores plans, a transaction per recording
- `extraction`: builds the database from a tree
- `adding`: adds a folder, or listed segments, to a database; `pipeline_edits` adds listed segments to one that
  the pipeline builds
- `reextraction`: recomputes stored spectrograms

What the database holds:

- `similarity`: exact cosine over one matrix of embeddings
- `duplicates`: recordings and segments that look alike; `duplicate_report` shows them, `duplicate_removal`
  takes them out
- `stored_pictures`: pictures of stored spectrograms
- `occlusion`: which frames carry the score of a class; `occlusion_pictures` shows them

From the database to training:

- `class_pictures`: the spectrograms of a class as pictures
- `selection`: which spectrograms go into a pickle
- `pickling`: writes the pickle, in constant memory
- `pickle_writer`: a pickle of plain values, opcode by opcode
- `safe_pickle`: reads a pickle of plain values; nothing in it can run; `safe_arrays` one with arrays
- `training_set`: the pickle as arrays, which `growing_images` fills; `shared_array` holds them once for all
  processes of a machine
- `augmentations`: one file per augmentation, whole batches at a time
- `excerpt`, `before_after`: a few spectrograms, and what each augmentation does to them
- `frame_labels`, `teacher_targets`: files of what a training file does not hold; `extra_targets` mixes and moves them
- `bank`: all spectrograms; `mixing`, `batches`: merged and augmented batches of them on the device
- `pseudo_labels`: windows of unlabeled recordings with a teacher's scores; `student_batches` mixes them in,
  `window_targets` holds those of frames
- `splits`: folds and held-out portions
"""
