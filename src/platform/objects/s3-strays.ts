import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandInput,
  type ListMultipartUploadsCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'

/** Aborts the uploads below `prefix` that began before `before` and never ended: their parts are kept, and paid for, else. */
export async function abortStrayUploads(
  client: S3Client,
  { bucket, prefix, before }: { bucket: string; prefix: string; before: Date },
  abortSignal: AbortSignal,
): Promise<void> {
  let page: ListMultipartUploadsCommandOutput | null = null
  do {
    const input: ListMultipartUploadsCommandInput = {
      Bucket: bucket,
      Prefix: prefix,
      KeyMarker: page?.NextKeyMarker,
      UploadIdMarker: page?.NextUploadIdMarker,
    }
    page = await client.send(new ListMultipartUploadsCommand(input), {
      abortSignal,
    })
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Initiated === undefined || Initiated >= before) continue
      await client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId }), { abortSignal })
    }
  } while (page.IsTruncated)
}
